"""Random histories of concurrent writers over every store, checked against the rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.redis import RedisServer, redis_server
from support.stores import opened_store

from secondlook.shared.errors import NotFound, VersionConflict
from secondlook.shared.memory import ContextStore, Record

IDS = ("cam/a", "cam/b")

# What one writer does: save or delete an id, expecting what it has seen or a wild guess.
steps = st.lists(
    st.tuples(
        st.sampled_from(["save", "delete", "load"]),
        st.sampled_from(IDS),
        st.sampled_from(["seen", "seen", "seen", "zero", "newer"]),
    ),
    max_size=12,
)
histories = st.lists(steps, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


async def one_writer(
    store: ContextStore, name: str, steps: list[tuple[str, str, str]], written: list[Record]
) -> None:
    seen = dict.fromkeys(IDS, 0)
    for n, (action, record_id, guess) in enumerate(steps):
        expected = {"seen": seen[record_id], "zero": 0, "newer": seen[record_id] + 1}[guess]
        try:
            if action == "load":
                seen[record_id] = (await store.load(record_id)).version
            elif action == "save":
                data = {"by": name, "n": n}
                record = await store.save(record_id, data, expected, writer=name)
                assert record.data == data
                written.append(record)
                seen[record_id] = record.version
            else:
                record = await store.delete(record_id, expected, writer=name)
                assert record.deleted
                written.append(record)
                seen[record_id] = 0
        except NotFound:
            seen[record_id] = 0
        except VersionConflict as conflict:
            check_conflict(conflict, expected)
            seen[record_id] = conflict.actual


def check_conflict(conflict: VersionConflict, expected: int) -> None:
    assert conflict.actual != expected
    assert (conflict.current is None) == (conflict.actual == 0)
    if conflict.current is not None:
        assert conflict.current.version == conflict.actual
        assert not conflict.current.deleted


async def check(kind: str, folder: Path, redis: RedisServer, history: list[Any]) -> None:
    async with opened_store(kind, folder, redis) as (store, _):
        written: list[Record] = []
        async with anyio.create_task_group() as tasks:
            for number, steps_ in enumerate(history):
                tasks.start_soon(one_writer, store, f"w{number}", steps_, written)
        newest: dict[str, Record] = {}
        for record_id in IDS:
            mine = sorted(
                (record for record in written if record.id == record_id), key=lambda r: r.version
            )
            # No version is written twice, none is skipped, deletions included.
            assert [record.version for record in mine] == list(range(1, len(mine) + 1))
            # Changes grow with versions.
            assert [r.change for r in mine] == sorted({r.change for r in mine})
            # A delete never follows a delete.
            assert not any(a.deleted and b.deleted for a, b in itertools.pairwise(mine))
            if mine:
                newest[record_id] = mine[-1]
        page = await store.changes()
        assert {record.id: record for record in page.records} == newest
        assert [r.change for r in page.records] == sorted(r.change for r in page.records)
        for record_id in IDS:
            if record_id in newest and not newest[record_id].deleted:
                assert await store.load(record_id) == newest[record_id]
            else:
                with pytest.raises(NotFound):
                    await store.load(record_id)


@pytest.mark.parametrize("kind", ["sqlite-memory", "redis", "remote-sqlite", "remote-redis"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories)
def test_no_history_breaks_compare_and_set(
    kind: str, tmp_path: Path, redis: RedisServer, history: list[Any]
) -> None:
    anyio.run(check, kind, tmp_path, redis, history)
