"""What a store forgets: for want of room what is synchronised, with age what is dead."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import (
    CursorTooOld,
    InvalidInput,
    NotFound,
    Overloaded,
    VersionConflict,
)
from secondlook.shared.memory import Record, SqliteStore
from secondlook.shared.memory.protocol import Compactable
from secondlook.shared.memory.record import Origin, Write, encode
from secondlook.shared.memory.sqlite import become_replica, find, mark_synced, put
from secondlook.shared.memory.sqlite.schema import RECORD_OVERHEAD_BYTES

pytestmark = pytest.mark.anyio

DATA = {"x": "y" * 892}
EACH = RECORD_OVERHEAD_BYTES + len(encode(DATA)) + 2 * 2 + 1
"""What one record of these tests weighs: ids of two bytes, a writer of one."""


@asynccontextmanager
async def opened(
    records: float | None = None, path: Path | str = ":memory:"
) -> AsyncIterator[tuple[SqliteStore, ManualClock]]:
    """A store with room for so many records."""
    clock = ManualClock()
    max_bytes = None if records is None else int(records * EACH)
    store = await SqliteStore.open(path, clock=clock, max_bytes=max_bytes)
    yield store, clock
    await store.close()


async def state(store: SqliteStore, column: str) -> int:
    sql = f"SELECT {column} FROM state"
    return int(await store.read(lambda db: db.execute(sql).fetchone()[0]))


async def ids(store: SqliteStore) -> list[str]:
    """Of all rows, tombstones too."""
    return [record.id for record in (await store.changes(limit=1000)).records]


async def sync(store: SqliteStore, *records: Record) -> None:
    for record in records:
        await store.transact(
            lambda db, record=record: mark_synced(db, record.id, record.version)  # type: ignore[misc]
        )


async def save(store: SqliteStore, record_id: str, version: int = 0, **more: float) -> Record:
    return await store.save(record_id, DATA, version, writer="w", **more)


async def pull(store: SqliteStore, record_id: str) -> Record:
    """Write as a replicator does what another store has."""
    return await store.transact(
        lambda db: put(db, record_id, encode(DATA), find(db, record_id, 0)[0], 0, "w", synced=True)
    )


async def test_a_record_weighs_what_is_told() -> None:
    async with opened() as (store, _):
        await save(store, "aa")
        assert await state(store, "bytes") == EACH
        await store.save("aü", {}, 0, writer="ü", origin=Origin("r", "t"))
        assert await state(store, "bytes") == EACH + RECORD_OVERHEAD_BYTES + 2 * 3 + 2 + 2 + 3


async def test_what_was_changed_longest_ago_goes_first() -> None:
    async with opened(3) as (store, _):
        for record_id in ("aa", "bb", "cc"):
            await sync(store, await save(store, record_id))
        await sync(store, await save(store, "aa", 1))
        await save(store, "dd")
        assert await ids(store) == ["cc", "aa", "dd"]
        with pytest.raises(NotFound):
            await store.load("bb")
        assert await state(store, "bytes") == 3 * EACH


async def test_what_is_dead_goes_before_what_lives_longest_dead_first() -> None:
    async with opened(4) as (store, clock):
        await sync(store, await save(store, "aa"))
        await sync(store, await save(store, "ex", ttl_s=10))
        await sync(store, await save(store, "de"))
        clock.advance(20)
        await sync(store, await store.delete("de", 1, writer="w"))
        await sync(store, await save(store, "bb"))
        await save(store, "cc")
        # The tombstone is small, so that there was room for it and cc, but not for "ex".
        assert await ids(store) == ["aa", "de", "bb", "cc"]
        await save(store, "dd")
        assert await ids(store) == ["aa", "bb", "cc", "dd"]


async def test_what_is_not_synchronised_never_goes() -> None:
    async with opened(3) as (store, _):
        await save(store, "aa")
        await sync(store, await save(store, "bb"))
        changed = await save(store, "bb", 1)
        await save(store, "cc")
        before = await store.changes()
        with pytest.raises(Overloaded, match=r"full: .* \d+ of \d+ .* 3 records wait") as told:
            await save(store, "dd")
        assert "synchronise" in told.value.remedy
        with pytest.raises(Overloaded):
            await store.save("aa", {"x": "y" * 900}, 1, writer="w")
        assert await store.changes() == before
        assert await state(store, "bytes") == 3 * EACH
        # What makes the store no heavier is let pass, and synchronising makes room.
        await store.save("aa", {}, 1, writer="w")
        await store.delete("cc", 1, writer="w")
        await sync(store, changed)
        await save(store, "dd")
        await save(store, "ee")
        assert await ids(store) == ["aa", "cc", "dd", "ee"]


async def test_in_a_batch_each_write_fits_or_fails_alone() -> None:
    async with opened(2) as (store, _):
        outcomes = await store.apply([Write(f"a{n}", DATA, 0, "w") for n in range(4)])
        assert [type(outcome.error) for outcome in outcomes] == [
            *(type(None), type(None), Overloaded, Overloaded)
        ]
        assert await ids(store) == ["a0", "a1"]


async def test_what_is_pulled_into_a_full_store_makes_its_own_room() -> None:
    async with opened(3) as (store, _):
        await save(store, "di")
        for n in range(9):
            await pull(store, f"r{n}")
        assert await ids(store) == ["di", "r7", "r8"]


async def test_work_that_wants_too_much_is_undone_whole() -> None:
    async with opened(2) as (store, _):
        await sync(store, await save(store, "cl"))
        before = await store.changes()

        def much(db: sqlite3.Connection) -> None:
            for n in range(3):
                put(db, f"m{n}", encode(DATA), 0, 0, "w")

        with pytest.raises(Overloaded):
            await store.transact(much)
        assert await store.changes() == before
        assert await state(store, "evicted_version") == 0


async def test_no_version_of_an_evicted_record_comes_again() -> None:
    async with opened(2) as (store, _):
        for version in range(3):
            seen = await save(store, "aa", version)
        await sync(store, seen)
        await save(store, "bb")
        await save(store, "cc")
        assert await ids(store) == ["bb", "cc"]
        await store.delete("bb", 1, writer="w")
        again = await store.save("aa", {}, 0, writer="other")
        assert again.version == 4
        # Who has seen it before it went must not write over what is there now.
        with pytest.raises(VersionConflict) as conflict:
            await store.save("aa", {"mine": 1}, seen.version, writer="w")
        assert conflict.value.current == again


async def test_an_eviction_is_no_change_but_of_the_dead() -> None:
    async with opened(2) as (store, _):
        living = await save(store, "aa")
        await sync(store, living)
        await save(store, "bb")
        cursor = (await store.changes()).cursor
        await save(store, "cc")
        # Who knows "aa" keeps it: nothing says that it was deleted.
        assert [r.id for r in (await store.changes(since=cursor)).records] == ["cc"]
        assert await state(store, "floor") == 0
        tombstone = await store.delete("bb", 1, writer="w")
        await sync(store, tombstone)
        await save(store, "dd")
        assert await ids(store) == ["cc", "dd"]
        with pytest.raises(CursorTooOld):
            await store.changes(since=cursor)
        assert (await store.changes(since=tombstone.change)).records != ()


async def test_a_store_that_became_too_small_sheds_with_the_next_write(tmp_path: Path) -> None:
    async with opened(None, tmp_path / "m.db") as (store, _):
        for n in range(50):
            await sync(store, await save(store, f"{n:02}"))
    async with opened(5, tmp_path / "m.db") as (store, _):
        assert len(await ids(store)) == 50
        await save(store, "aa")
        assert await ids(store) == ["46", "47", "48", "49", "aa"]


@pytest.mark.parametrize("wrong", [0, -1])
async def test_a_bound_that_makes_no_sense_is_refused(wrong: int) -> None:
    with pytest.raises(InvalidInput, match="max_bytes"):
        await SqliteStore.open(":memory:", max_bytes=wrong)


async def test_the_counts_stay_right_whatever_happens() -> None:
    chance = random.Random(7)
    async with opened(12) as (store, clock):
        await store.transact(become_replica)
        for _ in range(600):
            record_id = f"r{chance.randrange(10)}"
            version, standing = await store.read(lambda db, i=record_id: find(db, i, clock.wall()))  # type: ignore[misc]
            action = chance.randrange(6)
            if action < 2:
                data = {"x": "y" * chance.randrange(1500)}
                origin = chance.choice([None, Origin("r", str(chance.random()))])
                ttl_s = chance.choice([None, 5.0])
                outcome = await store.apply(
                    [
                        Write(
                            record_id, data, standing.version if standing else 0, "w", ttl_s, origin
                        )
                    ]
                )
                assert isinstance(outcome[0].error, Overloaded | None)
            elif action == 2 and standing is not None:
                await store.apply([Write(record_id, None, standing.version, "writer")])
            elif action == 3:
                await store.transact(lambda db, i=record_id, v=version: mark_synced(db, i, v))  # type: ignore[misc]
            elif action == 4:
                await store.compact(chance.choice([0, 7]), limit=chance.choice([1, 100]))
            else:
                clock.advance(chance.random())
            counted = await store.read(
                lambda db: db.execute("SELECT bytes, dirty FROM state").fetchone()
            )
            right = await store.read(
                lambda db: db.execute(
                    "SELECT coalesce(sum(2 * length(CAST(id AS BLOB)) + length(data)"
                    " + length(origins) + length(CAST(writer AS BLOB)) + 128), 0),"
                    " coalesce(sum(synced_version <> version), 0) FROM records"
                ).fetchone()
            )
            assert counted == right
            assert counted[0] <= 12 * EACH


async def test_compaction_forgets_what_is_dead_for_long_enough() -> None:
    async with opened() as (store, clock):
        assert isinstance(store, Compactable)
        await save(store, "ex", ttl_s=10)
        await save(store, "de")
        await save(store, "li")
        await store.delete("de", 1, writer="w")
        clock.advance(30)
        assert await store.compact(31) == 0
        assert await store.compact(20, limit=1) == 1
        assert await store.compact(20, limit=1) == 1
        assert await store.compact(20) == 0
        assert await ids(store) == ["li"]
        assert await state(store, "bytes") == EACH
        assert (await save(store, "de")).version == 1


async def test_a_cursor_below_what_was_forgotten_is_too_old() -> None:
    async with opened() as (store, clock):
        await save(store, "de")
        cursor = (await store.changes()).cursor
        tombstone = await store.delete("de", 1, writer="w")
        clock.advance(1)
        await store.compact(0)
        with pytest.raises(CursorTooOld) as told:
            await store.changes(since=cursor)
        assert (told.value.since, told.value.floor) == (cursor, tombstone.change)
        assert (await store.changes(since=tombstone.change)).records == ()
        assert (await store.changes()).records == ()


async def test_a_replica_keeps_deletions_that_wait() -> None:
    async with opened() as (store, clock):
        await store.transact(become_replica)
        await store.transact(become_replica)
        await save(store, "aa")
        tombstone = await store.delete("aa", 1, writer="w")
        await save(store, "ex", ttl_s=1)
        clock.advance(1e6)
        assert await store.compact(0) == 0
        assert await ids(store) == ["aa", "ex"]
        await sync(store, tombstone)
        assert await store.compact(0) == 1
        assert await ids(store) == ["ex"]


@pytest.mark.parametrize(("keep_s", "limit"), [(-1.0, 10), (float("nan"), 10), (1.0, 0), (1.0, -5)])
async def test_compaction_refuses_nonsense(keep_s: float, limit: int) -> None:
    async with opened() as (store, _):
        with pytest.raises(InvalidInput):
            await store.compact(keep_s, limit)
        assert await store.compact(float("inf")) == 0
