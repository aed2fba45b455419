"""Random histories of edits by many writers on one store: every one of them counts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.shared.errors import NotFound, StoreError
from secondlook.shared.memory import Document, Origin, Record, SqliteStore, edit
from secondlook.shared.memory.merging import Appended, Counter, Each, Fields, Latest, UnionSet

RULE = Fields(
    {
        "n": Counter(),
        "by": Each(Counter()),
        "tags": UnionSet(),
        "log": Appended(1000),
        "newest": Latest(),
    }
)
IDS = ("s/a/book/1", "s/b/book/1")

# What one writer does: to which record, what, and whether the store's reply is lost.
steps = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(["count", "tag", "log", "newest", "note"]),
        st.sampled_from(["kept", "kept", "reply lost", "request lost"]),
    ),
    max_size=6,
)
histories = st.lists(steps, min_size=2, max_size=4)

Change = Callable[[dict[str, Any]], Document]


class Lossy:
    """One writer's way to the store: a request or a reply gets lost where it is told to."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.next = "kept"

    async def load(self, record_id: str) -> Record:
        await anyio.lowlevel.checkpoint()
        return await self._store.load(record_id)

    async def save(self, record_id: str, data: Any, expected: int, **fields: Any) -> Record:
        fate, self.next = self.next, "kept"
        await anyio.lowlevel.checkpoint()
        if fate == "request lost":
            raise StoreError(fate)
        record = await self._store.save(record_id, data, expected, **fields)
        if fate == "reply lost":
            raise StoreError(fate)
        return record


def change_of(action: str, writer: str, number: int) -> Change:
    def change(data: dict[str, Any]) -> Document:
        if action == "count":
            data["n"] = data.get("n", 0) + 1
            data.setdefault("by", {})[writer] = data.get("by", {}).get(writer, 0) + 1
        elif action == "tag":
            data["tags"] = [*data.get("tags", []), number]
        elif action == "log":
            data.setdefault("log", []).append({"at_s": number, "by": writer})
        elif action == "newest":
            data["newest"] = {"at_s": max(number, data.get("newest", {}).get("at_s", 0))}
        else:
            data[f"note {number}"] = writer
        return data

    return change


async def one_writer(
    store: SqliteStore, writer: str, steps: list[tuple[str, str, str]], numbers: Any, done: Any
) -> None:
    lossy = Lossy(store)
    for record_id, action, fate in steps:
        number = next(numbers)
        lossy.next = fate
        await edit(
            lossy,
            record_id,
            change_of(action, writer, number),
            writer=writer,
            attempts=200,
            rule=RULE,
            origin=Origin(writer, str(number)),
        )
        done.append((record_id, action, writer, number))


async def check(history: list[list[tuple[str, str, str]]]) -> None:
    store = await SqliteStore.open(":memory:")
    try:
        done: list[tuple[str, str, str, int]] = []
        numbers = itertools.count(1)
        async with anyio.create_task_group() as tasks:
            for place, steps_ in enumerate(history):
                tasks.start_soon(one_writer, store, f"w{place}", steps_, numbers, done)
        assert len(done) == sum(map(len, history))
        for record_id in IDS:
            mine = [entry for entry in done if entry[0] == record_id]
            if not mine:
                with pytest.raises(NotFound):
                    await store.load(record_id)
                continue
            record = await store.load(record_id)
            # One version for each edit: none was made twice, none was skipped.
            assert record.version == len(mine)
            found = dict(record.data)
            for name, order in (("tags", None), ("log", lambda entry: entry["at_s"])):
                if name in found:
                    found[name] = sorted(found[name], key=order)
            assert found == expected_of(mine)
    finally:
        await store.close()


def expected_of(done: list[tuple[str, str, str, int]]) -> dict[str, Any]:
    """The record after those edits, in whatever order they were made."""
    by: dict[str, int] = {}
    expected: dict[str, Any] = {}
    for _, action, writer, number in sorted(done, key=lambda entry: entry[3]):
        if action == "count":
            by[writer] = by.get(writer, 0) + 1
            expected |= {"n": sum(by.values()), "by": by}
        elif action == "tag":
            expected.setdefault("tags", []).append(number)
        elif action == "log":
            expected.setdefault("log", []).append({"at_s": number, "by": writer})
        elif action == "newest":
            expected["newest"] = {"at_s": number}
        else:
            expected[f"note {number}"] = writer
    return expected


@pytest.fixture(scope="module", autouse=True)
def _no_waits() -> Iterator[None]:
    """Writers that do not drift apart meet more often, and sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secondlook.shared.memory.editing.MAX_DELAY_S", 0.0)
        yield


@settings(max_examples=25)
@given(histories)
def test_every_edit_counts_once(history: list[list[tuple[str, str, str]]]) -> None:
    anyio.run(check, history)
