"""Work of one's own in the store's transactions, and the functions it is made with."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from secondlook.shared.errors import NotFound, StoreError
from secondlook.shared.memory import Record, SqliteStore
from secondlook.shared.memory.sqlite import find, mark_synced, put

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", ":memory:"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "m.db" if request.param == "file" else ":memory:")
    yield opened
    await opened.close()


def add(record_id: str, raw: bytes | None = b"{}", *, synced: bool = False) -> object:
    def work(db: sqlite3.Connection) -> Record:
        version, _ = find(db, record_id, 1.0)
        return put(db, record_id, raw, version, 1.0, "w", synced=synced)

    return work


async def synced_version(store: SqliteStore, record_id: str) -> int:
    def work(db: sqlite3.Connection) -> int:
        sql = "SELECT synced_version FROM records WHERE id = ?"
        return int(db.execute(sql, (record_id,)).fetchone()[0])

    return await store.read(work)


async def test_work_is_committed_and_its_value_returned(store: SqliteStore) -> None:
    record = await store.transact(add("a", b'{"n":1}'))
    assert await store.load("a") == record
    assert (record.version, record.data, record.writer) == (1, {"n": 1}, "w")
    tombstone = await store.transact(add("a", None))
    assert (tombstone.version, tombstone.deleted, tombstone.data) == (2, True, {})
    with pytest.raises(NotFound):
        await store.load("a")
    assert await store.read(lambda db: find(db, "a", 1.0)) == (2, None)
    assert await store.read(lambda db: find(db, "never", 1.0)) == (0, None)


async def test_an_exception_undoes_its_own_work_only(store: SqliteStore) -> None:
    def fails(db: sqlite3.Connection) -> None:
        add("bad")(db)
        raise LookupError("mine")

    async def failing() -> None:
        with pytest.raises(LookupError, match="mine"):
            await store.transact(fails)

    async def wrong() -> None:
        with pytest.raises(StoreError, match="no such table"):
            await store.transact(lambda db: (add("bad")(db), db.execute("SELECT 1 FROM none")))

    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(store.transact, add(f"good{n}"))
            tasks.start_soon(failing)
            tasks.start_soon(wrong)
    page = await store.changes()
    assert [record.id for record in page.records] == [f"good{n}" for n in range(10)]
    # What was undone took no place in the order of changes.
    assert [record.change for record in page.records] == list(range(1, 11))


async def test_what_is_put_synced_is_clean_until_it_is_written_again(store: SqliteStore) -> None:
    await store.transact(add("a", synced=True))
    assert await synced_version(store, "a") == 1
    await store.save("a", {}, 1, writer="w")
    await store.delete("a", 2, writer="w")
    assert await synced_version(store, "a") == 1
    await store.transact(lambda db: mark_synced(db, "a", 3))
    assert await synced_version(store, "a") == 3
    assert await store.read(lambda db: db.execute("SELECT dirty FROM state").fetchone()) == (0,)


async def test_a_file_is_not_written_through_read(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "m.db")
    with pytest.raises(StoreError, match="readonly"):
        await store.read(add("a"))
    await store.close()
