"""What changed costs what changed: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Changes
from secondlook.shared.memory.sqlite import pages
from secondlook.shared.memory.sqlite.pages import page

pytestmark = pytest.mark.anyio

RAW = b'{"n":1}'


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(":memory:")
    yield opened
    await opened.close()


async def add(store: SqliteStore, ids: list[str]) -> None:
    """Write records quickly, in this order of changes."""

    def work(db: sqlite3.Connection) -> None:
        (change,) = db.execute("SELECT change FROM state").fetchone()
        db.executemany(
            "INSERT INTO records (change, id, version, updated_at, deleted, writer, data)"
            " VALUES (?, ?, 1, 0, 0, 'w', ?)",
            [(change + 1 + n, record_id, RAW) for n, record_id in enumerate(ids)],
        )

    await store.transact(work)


async def steps(store: SqliteStore, work: Callable[[sqlite3.Connection], Any]) -> tuple[int, Any]:
    """How many steps of the machine it takes, and what it returns."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    def counted(db: sqlite3.Connection) -> Any:
        db.set_progress_handler(step, 1)
        try:
            return work(db)
        finally:
            db.set_progress_handler(None, 0)

    result = await store.read(counted)
    return count, result


async def read(store: SqliteStore, prefix: str, since: int, limit: int = 1000) -> tuple[int, Any]:
    return await steps(store, lambda db: page(db, prefix, since, limit, 0.0))


async def all_of(store: SqliteStore, prefix: str, limit: int = 1000) -> tuple[list[str], int]:
    """Ids of all pages, and how many pages there were."""
    ids: list[str] = []
    cursor, count = 0, 0
    while True:
        found: Changes = await store.changes(prefix, cursor, limit)
        ids += [record.id for record in found.records]
        cursor, count = found.cursor, count + 1
        if not found.more:
            return ids, count


@pytest.mark.parametrize(("prefix", "expected"), [("", 800), ("site/cam3/", 100)])
async def test_a_page_costs_what_changed_not_what_exists(
    store: SqliteStore, prefix: str, expected: int
) -> None:
    costs = []
    existing = 0
    for more in (1000, 50_000):
        await add(store, [f"site/cam{n % 8}/old/{more}/{n}" for n in range(more)])
        existing += more
        await add(store, [f"site/cam{n % 8}/new/{more}/{n}" for n in range(800)])
        cost, found = await read(store, prefix, existing)
        existing += 800
        assert len(found.records) == expected
        assert not found.more
        costs.append(cost)
    assert costs[1] <= 1.05 * costs[0]


async def test_a_small_prefix_is_listed_without_looking_at_the_others(store: SqliteStore) -> None:
    await add(store, [f"mine/{n}" if n % 1000 == 0 else f"other/{n}" for n in range(50_000)])
    cost, found = await read(store, "mine/", 0)
    assert [record.id for record in found.records] == [f"mine/{n}" for n in range(0, 50_000, 1000)]
    assert not found.more
    assert found.cursor == 50_000
    # Around twenty steps a record; passing the others would be some five each.
    assert cost < 50 * 40
    ids, pages_read = await all_of(store, "mine/", limit=7)
    assert ids == [f"mine/{n}" for n in range(0, 50_000, 1000)]
    assert pages_read == 8


async def test_a_page_that_finds_little_ends_early(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCAN", 50)
    wanted = [f"mine/{n}" for n in range(100)]
    await add(store, wanted[:99])
    await add(store, [f"other/{n}" for n in range(1000)])
    await add(store, wanted[99:])
    cost, found = await read(store, "mine/", 99)
    assert (found.records, found.more, found.cursor) == ((), True, 149)
    assert cost < 50 * 20
    ids, pages_read = await all_of(store, "mine/")
    assert ids == wanted
    assert pages_read == 22


@pytest.mark.parametrize("scan", [3, 4096])
@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_every_page_size_lists_each_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, scan: int, limit: int
) -> None:
    monkeypatch.setattr(pages, "SCAN", scan)
    for n in range(30):
        await store.save(f"{'ab'[n % 2]}/{n % 5}/{n}", {}, 0, writer="w")
    for n in range(0, 30, 3):
        await store.delete(f"{'ab'[n % 2]}/{n % 5}/{n}", 1, writer="w")
    order = [n for n in range(30) if n % 3] + list(range(0, 30, 3))
    for prefix in ("", "a", "a/", "b/1/", "b/1", "none"):
        ids, _ = await all_of(store, prefix, limit)
        everything = [f"{'ab'[n % 2]}/{n % 5}/{n}" for n in order]
        assert ids == [record_id for record_id in everything if record_id.startswith(prefix)]


@pytest.mark.parametrize("scan", [1, 4096])
async def test_a_prefix_is_taken_as_it_is(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, scan: int
) -> None:
    monkeypatch.setattr(pages, "SCAN", scan)
    ids = ["a%/x", "a_/x", "aä/x", "a\U0010fffd/x", "a", "A/x", "ab/x"]
    ids = [record_id for record_id in ids if record_id.isprintable()]
    for record_id in ids:
        await store.save(record_id, {}, 0, writer="w")
    for prefix in ("a%", "a_", "a", "aä", "A"):
        found, _ = await all_of(store, prefix, 1)
        assert found == [record_id for record_id in ids if record_id.startswith(prefix)]
