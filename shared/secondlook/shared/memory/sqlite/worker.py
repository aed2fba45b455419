"""A thread that owns a connection, and does together what queued while it was busy.

SQLite waits for the disk once a transaction, so the writer puts all work that queued during one
commit into the next: many callers share one wait. Each piece of work stays atomic alone, in a
savepoint, and nobody hears of a result before the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from secondlook.shared.errors import Overloaded, StoreError
from secondlook.shared.memory.sqlite.errors import mapped

MAX_WAITING = 8192
"""Most calls that wait for one worker."""
MAX_GROUP = 512
"""Most pieces of work in one transaction (one call's are never divided)."""

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class Done:
    """What a piece of work came to: a value, or the error it raised."""

    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Call:
    works: Sequence[Work]
    future: asyncio.Future[list[Done]]
    done: list[Done] = field(default_factory=list)


class Worker:
    """Runs work on one connection in a thread of its own, in the order of the calls."""

    def __init__(
        self, name: str, path: str, connect: Callable[[], sqlite3.Connection], *, writes: bool
    ) -> None:
        self._path = path
        self._connect = connect
        self._writes = writes
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._closed = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Not of a pool: those are joined when the interpreter ends, and would wait for ever.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    async def start(self) -> None:
        """Connect.

        Raises:
            SecondlookError: what ``connect`` raises.
        """
        self._thread.start()
        try:
            await asyncio.shield(self._ready)
        except asyncio.CancelledError:
            self._queue.put(None)
            raise

    async def run(self, works: Sequence[Work]) -> list[Done]:
        """Run each piece of work atomic alone; returns when all are committed.

        A call that is cancelled before its turn does not happen.

        Raises:
            Overloaded: too many calls wait already.
            StoreError: the worker is closed.
        """
        if self._closed:
            raise StoreError("the context memory is closed")
        if self._queue.qsize() >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} calls wait for the context memory {self._path}",
                remedy="the disk is too slow for so many: write less at once",
            )
        future: asyncio.Future[list[Done]] = asyncio.get_running_loop().create_future()
        self._queue.put(_Call(works, future))
        return await future

    def end(self) -> None:
        """Take no more calls; finish those that wait, then disconnect. Safe to repeat."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)

    async def ended(self) -> None:
        """Wait for that end."""
        # Shielded: a caller that is cancelled must not keep others from knowing of the end.
        await asyncio.shield(self._ended)

    def _main(self) -> None:
        loop = self._ready.get_loop()
        try:
            db = self._connect()
        except Exception as error:  # noqa: BLE001 - it is raised where `start` is awaited
            _tell(loop, self._fail, _told(error, self._path))
            return
        _tell(loop, self._ready.set_result, None)
        try:
            last = False
            while not last:
                calls, last = self._next_calls()
                self._do(db, calls)
                _tell(loop, _resolve, calls)
        finally:
            db.close()
            _tell(loop, self._ended.set_result, None)

    def _fail(self, error: BaseException) -> None:
        self._closed = True
        self._ready.set_exception(error)
        self._ended.set_result(None)

    def _next_calls(self) -> tuple[list[_Call], bool]:
        """Wait for a call, then take what else is there; and whether that is the end."""
        calls: list[_Call] = []
        size = 0
        call = self._queue.get()
        while call is not None:
            if not call.future.cancelled():
                calls.append(call)
                size += len(call.works)
            if size >= MAX_GROUP:
                return calls, False
            try:
                call = self._queue.get_nowait()
            except Empty:
                return calls, False
        return calls, True

    def _do(self, db: sqlite3.Connection, calls: list[_Call]) -> None:
        pending: list[tuple[Done, Work]] = []
        for call in calls:
            call.done = [Done() for _ in call.works]
            pending += zip(call.done, call.works, strict=True)
        try:
            while pending:
                pending = self._transaction(db, pending)
        except Exception as error:  # noqa: BLE001 - if the thread ended, all would wait for ever
            _undone(pending, error, self._path)

    def _transaction(
        self, db: sqlite3.Connection, pending: list[tuple[Done, Work]]
    ) -> list[tuple[Done, Work]]:
        """One transaction; returns what an error, so bad that SQLite gave up all, left undone."""
        count = 0
        try:
            if db.in_transaction:  # left by a failure to end it
                db.execute("ROLLBACK")
            db.execute(self._begin)
            for done, work in pending:
                count += 1
                self._one(db, done, work, alone=len(pending) == 1)
                if not db.in_transaction:
                    break
            else:
                db.execute("COMMIT")
                return []
        except sqlite3.Error as error:
            _undone(pending, error, self._path)
            if db.in_transaction:
                db.execute("ROLLBACK")
            return []
        _undone(pending[: count - 1], pending[count - 1][0].error, self._path)
        return pending[count:]

    def _one(self, db: sqlite3.Connection, done: Done, work: Work, *, alone: bool) -> None:
        savepoint = self._writes and not alone
        try:
            if savepoint:
                db.execute("SAVEPOINT work")
            done.value = work(db)
            if savepoint:
                db.execute("RELEASE work")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is its caller's
            done.error = _told(error, self._path)
            if not db.in_transaction:
                return
            if savepoint:
                db.execute("ROLLBACK TO work")
                db.execute("RELEASE work")
            elif self._writes:
                db.execute("ROLLBACK")


def _undone(group: Iterable[tuple[Done, Work]], cause: BaseException | None, path: str) -> None:
    """Nothing of the group is committed: what any of it came to, also a conflict, is void."""
    for done, _ in group:
        done.value = None
        done.error = _told(cause, path)
        if not isinstance(done.error, StoreError):
            done.error = StoreError(f"context memory {path}: lost with other work: {cause!r}")


def _told(error: BaseException | None, path: str) -> BaseException | None:
    return mapped(error, path) if isinstance(error, sqlite3.Error) else error


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *arguments: Any) -> None:
    """Call something on the event loop, if there still is one."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(tell, *arguments)


def _resolve(calls: list[_Call]) -> None:
    for call in calls:
        if not call.future.done():  # its caller may have been cancelled
            call.future.set_result(call.done)
