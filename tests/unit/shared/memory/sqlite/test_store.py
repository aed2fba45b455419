"""What only the SQLite store promises: files, schemas, several processes, durability."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import pytest

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidConfig, NotFound, StoreError, VersionConflict
from secondlook.shared.memory import SqliteStore

pytestmark = pytest.mark.anyio


async def test_records_survive_closing(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    store = await SqliteStore.open(file)
    saved = await store.save("a", {"n": 1}, 0, writer="w")
    await store.close()
    again = await SqliteStore.open(file)
    assert await again.load("a") == saved
    assert (await again.save("b", {}, 0, writer="w")).change > saved.change
    await again.close()


async def test_commits_reach_the_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "memory.db")

    def pragmas(db: sqlite3.Connection) -> tuple[str, int]:
        return (
            db.execute("PRAGMA journal_mode").fetchone()[0],
            db.execute("PRAGMA synchronous").fetchone()[0],
        )

    assert await store.transact(pragmas) == ("wal", 2)
    await store.close()


async def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    one = await SqliteStore.open(tmp_path / "memory.db")
    two = await SqliteStore.open(tmp_path / "memory.db")
    await one.save("a", {"by": 1}, 0, writer="one")
    with pytest.raises(VersionConflict) as conflict:
        await two.save("a", {"by": 2}, 0, writer="two")
    assert conflict.value.current.data == {"by": 1}
    won: list[str] = []

    async def write(store: SqliteStore, name: str) -> None:
        for n in range(20):
            try:
                await store.save(f"r{n}", {}, 0, writer=name)
            except VersionConflict:
                continue
            won.append(f"r{n}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, one, "one")
        tasks.start_soon(write, two, "two")
    assert sorted(won) == sorted(f"r{n}" for n in range(20))
    assert len((await one.changes()).records) == 21
    await one.close()
    await two.close()


async def test_a_file_of_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InvalidConfig, match="schema 99"):
        await SqliteStore.open(file)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 4096])
async def test_a_file_that_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "memory.db"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"memory\.db"):
        await SqliteStore.open(file)
    assert file.read_bytes() == content


async def test_a_database_of_somebody_else_is_told(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE records (x)")
    db.close()
    with pytest.raises(StoreError, match="already exists"):
        await SqliteStore.open(file)


async def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder must exist"):
        await SqliteStore.open(tmp_path / "none" / "memory.db")


async def test_damaged_data_is_a_store_error_and_other_records_work(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    store = await SqliteStore.open(file)
    await store.save("bad", {}, 0, writer="w")
    await store.save("good", {}, 0, writer="w")
    with sqlite3.connect(file) as db:
        db.execute("UPDATE records SET data = ? WHERE id = 'bad'", (b"\xff",))
    db.close()
    with pytest.raises(StoreError, match="bad"):
        await store.load("bad")
    assert (await store.load("good")).version == 1
    await store.close()


async def test_a_table_lost_under_way_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    store = await SqliteStore.open(file)
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE records")
    db.close()
    with pytest.raises(StoreError, match="no such table"):
        await store.save("a", {}, 0, writer="w")
    await store.close()


async def test_time_to_live_ends_to_the_tick() -> None:
    clock = ManualClock(wall_s=1_000_000.0)
    store = await SqliteStore.open(":memory:", clock=clock)
    saved = await store.save("a", {}, 0, writer="w", ttl_s=10)
    assert (saved.updated_at, saved.expires_at) == (1_000_000.0, 1_000_010.0)
    clock.advance(9.9)
    await store.load("a")
    clock.advance(0.1)
    with pytest.raises(NotFound):
        await store.load("a")
    await store.close()
