"""Many writes in one call (`ContextStore.apply`), in every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from secondlook.shared.errors import InvalidInput, NotFound, VersionConflict
from secondlook.shared.memory import ContextStore, Origin, Outcome, Write
from secondlook.shared.memory.record import MAX_DATA_BYTES
from secondlook.shared.memory.rules import MAX_BATCH

pytestmark = pytest.mark.anyio


def kinds(outcomes: list[Outcome]) -> list[Any]:
    """The version written, or the class of the error."""
    return [o.record.version if o.record is not None else type(o.error) for o in outcomes]


async def test_nothing_is_nothing(store: ContextStore) -> None:
    assert await store.apply([]) == []


async def test_outcomes_come_in_the_order_of_the_writes(store: ContextStore) -> None:
    outcomes = await store.apply([Write(f"r/{n}", {"n": n}, 0, f"w{n}") for n in range(MAX_BATCH)])
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    assert [record.data["n"] for record in records] == list(range(MAX_BATCH))
    assert [record.change for record in records] == sorted({r.change for r in records})
    assert not any(outcome.repeat or outcome.error for outcome in outcomes)
    page = await store.changes(limit=1000)
    assert page.records == tuple(records)
    assert await store.load("r/7") == records[7]


async def test_each_succeeds_or_fails_alone(store: ContextStore) -> None:
    standing = await store.save("taken", {"n": 1}, 0, writer="w")
    outcomes = await store.apply(
        [
            Write("new", {"n": 1}, 0, "w"),
            Write("taken", {"n": 2}, 0, "w"),
            Write("nothing", None, 1, "w"),
            Write("a/../b", {}, 0, "w"),
            Write("bad", {"x": float("nan")}, 0, "w"),
            Write("bad", {}, -1, "w"),
            Write("taken", {"n": 2}, 1, "w", ttl_s=60),
            Write("new", None, 1, "w"),
        ]
    )
    assert kinds(outcomes) == [
        1,
        VersionConflict,
        NotFound,
        InvalidInput,
        InvalidInput,
        InvalidInput,
        2,
        2,
    ]
    conflict = outcomes[1].error
    assert isinstance(conflict, VersionConflict)
    assert (conflict.record_id, conflict.expected, conflict.actual) == ("taken", 0, 1)
    assert conflict.current == standing
    taken, gone = outcomes[6].record, outcomes[7].record
    assert taken is not None
    assert gone is not None
    assert taken.expires_at is not None
    assert gone.deleted
    assert (await store.changes()).records == (taken, gone)


async def test_a_record_may_be_written_more_than_once(store: ContextStore) -> None:
    outcomes = await store.apply(
        [
            Write("a", {"n": 1}, 0, "w"),
            Write("a", {"n": 2}, 1, "w"),
            Write("a", {"n": 0}, 1, "late"),
            Write("a", None, 2, "w"),
            Write("a", {"n": 4}, 0, "w"),
        ]
    )
    assert kinds(outcomes) == [1, 2, VersionConflict, 3, 4]
    conflict = outcomes[2].error
    assert isinstance(conflict, VersionConflict)
    assert conflict.current == outcomes[1].record
    assert (await store.load("a")).data == {"n": 4}
    assert [record.version for record in (await store.changes()).records] == [4]


async def test_a_batch_sent_twice_is_written_once(store: ContextStore) -> None:
    writes = [Write(f"r/{n}", {"n": n}, 0, "w", origin=Origin("edge", f"t{n}")) for n in range(5)]
    first = await store.apply(writes)
    later = await store.save("r/3", {"n": "later"}, 1, writer="x")
    cursor = (await store.changes()).cursor
    again = await store.apply([*writes, Write("r/5", {}, 0, "w")])
    assert [outcome.repeat for outcome in again] == [True] * 5 + [False]
    assert [o.record for o in again[:5]] == [later if n == 3 else first[n].record for n in range(5)]
    assert [record.id for record in (await store.changes(since=cursor)).records] == ["r/5"]


async def test_a_repetition_within_a_batch_is_one(store: ContextStore) -> None:
    write = Write("a", {"n": 1}, 0, "w", origin=Origin("edge", "t"))
    first, again = await store.apply([write, write])
    assert (first.repeat, again.repeat) == (False, True)
    assert first.record == again.record == await store.load("a")


async def test_too_many_are_refused_before_anything_is_written(store: ContextStore) -> None:
    with pytest.raises(InvalidInput, match="256"):
        await store.apply([Write(f"r/{n}", {}, 0, "w") for n in range(MAX_BATCH + 1)])
    assert (await store.changes()).records == ()


async def test_the_largest_batch_fits_and_so_do_its_conflicts(store: ContextStore) -> None:
    data = {"x": "y" * (MAX_DATA_BYTES - 100)}
    writes = [Write(f"site/cam/x/{n}", data, 0, "w") for n in range(MAX_BATCH)]
    first = await store.apply(writes)
    assert kinds(first) == [1] * MAX_BATCH
    # Each conflict brings the record that stands: 16 MB of answers to a small question.
    second = await store.apply([replace(write, data={}) for write in writes])
    assert [o.error.current if isinstance(o.error, VersionConflict) else None for o in second] == [
        o.record for o in first
    ]


async def test_batches_of_many_writers_leave_no_gap(store: ContextStore) -> None:
    written: dict[str, list[int]] = {f"r/{n}": [] for n in range(4)}

    async def work(name: str) -> None:
        seen = dict.fromkeys(written, 0)
        for round_ in range(5):
            outcomes = await store.apply(
                [Write(r, {"by": name, "round": round_}, seen[r], name) for r in written]
            )
            for record_id, outcome in zip(written, outcomes, strict=True):
                if outcome.record is not None:
                    written[record_id].append(outcome.record.version)
                    seen[record_id] = outcome.record.version
                else:
                    assert isinstance(outcome.error, VersionConflict)
                    seen[record_id] = outcome.error.actual

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(work, f"w{number}")
    for record_id, versions in written.items():
        assert sorted(versions) == list(range(1, len(versions) + 1))
        assert (await store.load(record_id)).version == len(versions)
