"""What is written together stays apart: one commit for many, each atomic alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from secondlook.shared.errors import InvalidInput, NotFound, Overloaded, StoreError, VersionConflict
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Origin, Write
from secondlook.shared.memory.sqlite import worker

pytestmark = pytest.mark.anyio


class Flaky(sqlite3.Connection):
    """A connection on which chosen statements fail, once each."""

    failing: dict[str, sqlite3.Error]

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
        if (error := self.failing.pop(sql, None)) is not None:
            raise error
        return super().execute(sql, *arguments)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    Flaky.failing = {}
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Flaky))
    opened = await SqliteStore.open(tmp_path / "memory.db")
    yield opened
    await opened.close()


@asynccontextmanager
async def busy(store: SqliteStore) -> AsyncIterator[Callable[[], None]]:
    """The writer is held until what is given is called, or the end."""
    entered, free = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        assert free.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.transact, hold)
        await anyio.to_thread.run_sync(entered.wait, 30)
        try:
            yield free.set
        finally:
            free.set()


async def queued(*calls: asyncio.Future[object]) -> None:
    """Let the calls run until they wait for the writer."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert [repr(call) for call in calls if call.done()][:1] == []


def later(coroutine: object) -> asyncio.Future[object]:
    return asyncio.ensure_future(coroutine)  # type: ignore[arg-type,no-any-return,call-overload]


async def results(calls: list[asyncio.Future[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_what_queued_during_a_commit_shares_the_next(store: SqliteStore) -> None:
    statements: list[tuple[str, int]] = []
    calls: list[asyncio.Future[object]] = []

    def note(statement: str) -> None:
        if statement.startswith(("BEGIN", "COMMIT")):
            statements.append((statement, sum(call.done() for call in calls)))

    await store.transact(lambda db: db.set_trace_callback(note))
    statements.clear()
    async with busy(store) as free:
        calls += [later(store.save(f"r{n}", {}, 0, writer="w")) for n in range(40)]
        calls.append(later(store.apply([Write(f"b{n}", {}, 0, "w") for n in range(40)])))
        await queued(*calls)
        free()
        await results(calls)
    # One commit for the work that held the writer, one for all the rest, told after it only.
    assert [what for what, _ in statements] == ["BEGIN IMMEDIATE", "COMMIT"] * 2
    assert statements[-1][1] == 0
    assert len((await store.changes()).records) == 80


async def test_a_failure_hurts_no_neighbour(store: SqliteStore) -> None:
    await store.save("old", {}, 0, writer="w")
    async with busy(store) as free:
        calls = [
            later(store.save("a", {}, 0, writer="w")),
            later(store.save("old", {}, 0, writer="w")),
            later(store.delete("none", 0, writer="w")),
            later(store.transact(lambda db: db.execute("SELECT nonsense"))),
            later(store.save("a", {}, 0, writer="w")),
            later(store.save("z", {}, 0, writer="w")),
        ]
        await queued(*calls)
        free()
        a, old, none, nonsense, again, z = await results(calls)
    assert a == await store.load("a")
    assert z == await store.load("z")
    assert isinstance(old, VersionConflict)
    assert isinstance(none, NotFound)
    assert isinstance(nonsense, StoreError)
    assert isinstance(again, VersionConflict)
    assert again.current == a


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN IMMEDIATE"])
async def test_a_commit_that_fails_leaves_nothing_of_its_group(
    store: SqliteStore, statement: str
) -> None:
    async with busy(store) as free:

        def fail(_: sqlite3.Connection) -> None:
            Flaky.failing[statement] = sqlite3.OperationalError("database or disk is full")

        first = [later(store.save("a", {"n": n}, 0, writer="w")) for n in range(3)]
        if statement == "COMMIT":
            first.append(later(store.transact(fail)))
        await queued(*first)
        if statement != "COMMIT":
            fail(None)  # type: ignore[arg-type]
        free()
        told = await results(first)
    # The conflicts too: what they met was not committed.
    assert {type(one) for one in told} == {StoreError}
    assert {getattr(one, "remedy", "") for one in told} == {
        "free space on the disk; what was acknowledged is intact"
    }
    assert (await store.changes()).records == ()
    assert (await store.save("a", {}, 0, writer="w")).version == 1


async def test_where_sqlite_gives_up_all_the_rest_goes_on(store: SqliteStore) -> None:
    def give_up(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as SQLite itself does where the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    async with busy(store) as free:
        calls = [
            later(store.save("before", {}, 0, writer="w")),
            later(store.save("before", {}, 0, writer="w")),
            later(store.transact(give_up)),
            later(store.save("after", {}, 0, writer="w")),
        ]
        await queued(*calls)
        free()
        *lost, after = await results(calls)
    assert [type(one) for one in lost] == [StoreError] * 3
    assert (await store.changes()).records == (after,)


async def test_even_an_undoing_that_fails_leaves_a_store_that_works(store: SqliteStore) -> None:
    def fail(_: sqlite3.Connection) -> None:
        for statement in ("ROLLBACK TO work", "ROLLBACK"):
            Flaky.failing[statement] = sqlite3.OperationalError("disk I/O error")
        raise LookupError("mine")

    async with busy(store) as free:
        calls = [later(store.transact(fail)), later(store.save("a", {}, 0, writer="w"))]
        await queued(*calls)
        free()
        assert [type(one) for one in await results(calls)] == [StoreError] * 2
    assert (await store.save("a", {}, 0, writer="w")).version == 1


async def test_cancelled_before_its_turn_it_does_not_happen(store: SqliteStore) -> None:
    async with busy(store) as free:
        calls = [later(store.save(f"r{n}", {}, 0, writer="w")) for n in range(10)]
        await queued(*calls)
        for call in calls[::2]:
            call.cancel()
        free()
        await results(calls)
    assert [record.id for record in (await store.changes()).records] == [
        f"r{n}" for n in range(1, 10, 2)
    ]


async def test_cancelled_under_way_it_hurts_nobody(store: SqliteStore) -> None:
    async with busy(store) as free:
        neighbour = later(store.save("n", {}, 0, writer="w"))
        await queued(neighbour)
        with anyio.move_on_after(0) as scope:
            await store.save("cancelled", {}, 0, writer="w")
        assert scope.cancelled_caught
        free()
        await neighbour
    assert (await store.load("n")).version == 1


async def test_reads_do_not_wait_for_the_writer(store: SqliteStore) -> None:
    saved = await store.save("a", {}, 0, writer="w")
    async with busy(store):
        with anyio.fail_after(20):
            assert await store.load("a") == saved
            assert (await store.changes()).records == (saved,)
            await store.ping()


async def test_the_queue_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAITING", 3)
    async with busy(store) as free:
        calls = [later(store.save(f"r{n}", {}, 0, writer="w")) for n in range(3)]
        await queued(*calls)
        with pytest.raises(Overloaded, match="3 calls wait"):
            await store.save("more", {}, 0, writer="w")
        free()
        await results(calls)
    await store.save("more", {}, 0, writer="w")


async def test_closing_finishes_what_was_called(store: SqliteStore) -> None:
    async with busy(store) as free:
        calls = [later(store.save(f"r{n}", {"n": n}, 0, writer="w")) for n in range(5)]
        await queued(*calls)
        closing = later(store.close())
        await queued(closing)
        with pytest.raises(StoreError, match="closed"):
            await store.save("late", {}, 0, writer="w")
        free()
        await closing
    assert [record.data for record in await results(calls)] == [{"n": n} for n in range(5)]  # type: ignore[attr-defined]


async def test_more_than_one_group_at_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_GROUP", 4)
    async with busy(store) as free:
        calls = [later(store.save(f"r{n}", {}, 0, writer="w")) for n in range(11)]
        await queued(*calls)
        free()
        await results(calls)
    assert len((await store.changes()).records) == 11


async def test_a_batch_answers_each_write(store: SqliteStore) -> None:
    one = await store.save("one", {}, 0, writer="w")
    outcomes = await store.apply(
        [
            Write("a", {"n": 1}, 0, "w"),
            Write("a", {"n": 2}, 1, "w"),
            Write("one", {}, 0, "w"),
            Write("none", None, 1, "w"),
            Write("a//b", {}, 0, "w"),
            Write("bad", {"x": float("nan")}, 0, "w"),
            Write("one", None, 1, "w", origin=Origin("r", "t")),
            Write("one", None, 1, "w", origin=Origin("r", "t")),
        ]
    )
    assert [outcome.record and outcome.record.version for outcome in outcomes] == [
        *(1, 2, None, None, None, None, 2, 2),
    ]
    errors = [type(outcome.error) for outcome in outcomes]
    assert errors[2:6] == [VersionConflict, NotFound, InvalidInput, InvalidInput]
    assert isinstance(outcomes[2].error, VersionConflict)
    assert outcomes[2].error.current == one
    assert [outcome.repeat for outcome in outcomes[-2:]] == [False, True]
    assert await store.apply([]) == []
