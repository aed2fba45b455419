"""The context memory in a SQLite file.

One connection writes, in a thread of its own: SQLite has one writer at a time anyway, and the event
loop never waits for a disk. Another reads, so that nobody who only looks waits for a commit. The
journal is a write-ahead log with ``synchronous=FULL``: a commit is on the disk before it is
acknowledged, so that neither a killed process nor a cut power loses it. That costs one fsync a
commit, and writes that queue meanwhile share the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import (
    InvalidInput,
    NotFound,
    SecondlookError,
    StoreError,
    VersionConflict,
)
from secondlook.shared.memory.record import (
    Changes,
    Document,
    Origin,
    Outcome,
    Record,
    Write,
    check_id,
    encode,
)
from secondlook.shared.memory.rules import check_batch, check_page, check_write
from secondlook.shared.memory.sqlite.pages import page
from secondlook.shared.memory.sqlite.room import forget_dead, held, make_room
from secondlook.shared.memory.sqlite.rows import find, head, look, put, remember
from secondlook.shared.memory.sqlite.schema import upgrade
from secondlook.shared.memory.sqlite.worker import Worker

T = TypeVar("T")
_Work = Callable[[sqlite3.Connection], T]

BUSY_TIMEOUT_S = 5.0
"""How long a commit of another process is waited for."""
JOURNAL_BYTES = 16 * 2**20
"""To what the write-ahead log is cut after a burst."""
MEMORY = ":memory:"


class SqliteStore:
    """See `ContextStore` and `Compactable`. Opened with `SqliteStore.open`.

    Several processes may share a file: each group of writes is one immediate transaction.

    Bounded with ``max_bytes``, it forgets what other stores have: first what is dead and
    synchronised, longest dead first, then what is synchronised, changed longest ago first. It never
    forgets what is not synchronised: where nothing else is left, the write raises `Overloaded`. A
    record that was evicted is absent, as if never saved: there is no tombstone, so nobody takes it
    for deleted, and ``changes`` no longer lists it. Saved again, its version goes on above all that
    were evicted, so that no version of it means two things.
    """

    def __init__(self, path: str, clock: Clock, max_bytes: int | None) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._writer = Worker("context-memory-write", path, self._open_writer, writes=True)
        # What is in memory has one connection only.
        self._reader = (
            self._writer
            if path == MEMORY
            else Worker("context-memory-read", path, self._open_reader, writes=False)
        )

    @classmethod
    async def open(
        cls, path: str | Path, *, clock: Clock | None = None, max_bytes: int | None = None
    ) -> SqliteStore:
        """Open or create the file; ``":memory:"`` keeps everything in memory.

        Args:
            path: the file; beside it SQLite keeps ``-wal`` and ``-shm``.
            clock: for tests.
            max_bytes: most that all records together weigh, as `schema` counts it: for each twice
                its id, its data, writer and origins, and 128. ``None``: no bound. The file is
                somewhat larger, and does not shrink.

        Raises:
            InvalidConfig: the file is of a newer Secondlook.
            InvalidInput: ``max_bytes`` is not above 0.
            StoreError: it cannot be opened or is not a SQLite file.
        """
        if max_bytes is not None and max_bytes < 1:
            raise InvalidInput(f"max_bytes is {max_bytes}; above 0 expected")
        store = cls(str(path), clock or SystemClock(), max_bytes)
        await store._writer.start()
        if store._reader is not store._writer:
            try:
                await store._reader.start()
            except BaseException:  # also when cancelled, the writer's thread must end
                store._writer.end()
                raise
        return store

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        """See `ContextStore.save`."""
        check_write(record_id, expected_version, writer, ttl_s, origin)
        write = Write(record_id, data, expected_version, writer, ttl_s, origin)
        raw = encode(data)
        return _written(await self.transact(lambda db: self._write(db, write, raw)))

    async def load(self, record_id: str) -> Record:
        """See `ContextStore.load`."""
        check_id(record_id)
        record = await self.read(lambda db: look(db, record_id, self._clock.wall()))
        if record is None or record.deleted:
            raise NotFound(f"{record_id}: no such record")
        return record

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        """See `ContextStore.delete`."""
        check_write(record_id, expected_version, writer, None, origin)
        write = Write(record_id, None, expected_version, writer, None, origin)
        return _written(await self.transact(lambda db: self._write(db, write, None)))

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `ContextStore.apply`."""
        check_batch(len(writes))

        def work(write: Write) -> _Work[Outcome]:
            return lambda db: self._checked_write(db, write)

        outcomes = []
        for done in await self._writer.run([self._bounded(work(write)) for write in writes]):
            if done.error is None:
                outcomes.append(done.value)
            elif isinstance(done.error, SecondlookError) and not isinstance(done.error, StoreError):
                outcomes.append(Outcome(error=done.error))
            else:
                raise done.error
        return outcomes

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """See `ContextStore.changes`."""
        check_page(prefix, since, limit)
        return await self.read(lambda db: page(db, prefix, since, limit, self._clock.wall()))

    async def compact(self, keep_s: float, limit: int = 1000) -> int:
        """See `Compactable.compact`. A replica keeps what is not synchronised."""
        if not keep_s >= 0:
            raise InvalidInput(f"keep_s is {keep_s}; at least 0 expected")
        if limit < 1:
            raise InvalidInput(f"limit is {limit}; at least 1 expected")
        return await self.transact(lambda db: forget_dead(db, self._clock.wall() - keep_s, limit))

    async def ping(self) -> None:
        """See `ContextStore.ping`."""
        await self.read(lambda db: db.execute("SELECT change FROM state").fetchone())

    async def close(self) -> None:
        """See `ContextStore.close`. What was called before is finished first."""
        for worker in (self._reader, self._writer):
            worker.end()
        for worker in (self._reader, self._writer):
            await worker.ended()

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in the writer's thread, atomic alone; returns what it returns.

        Others may share the commit, and its failure. ``work`` must not begin or end transactions.
        An exception it raises undoes what it did, and is raised here.

        Raises:
            Overloaded: the store is bounded and full, and may let nothing go.
            StoreError: the store failed; whether the work is done is unknown.
        """
        return await _run(self._writer, self._bounded(work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work``, which only reads, on what is committed; returns what it returns.

        Raises:
            StoreError: the store failed.
        """
        return await _run(self._reader, work)

    def _checked_write(self, db: sqlite3.Connection, write: Write) -> Outcome:
        check_write(write.id, write.expected_version, write.writer, write.ttl_s, write.origin)
        return self._write(db, write, None if write.data is None else encode(write.data))

    def _write(self, db: sqlite3.Connection, write: Write, raw: bytes | None) -> Outcome:
        now = self._clock.wall()
        found = head(db, write.id, now)
        origins = None
        if write.origin is not None:
            if found.remembers(write.origin):
                return Outcome(look(db, write.id, now), repeat=True)
            origins = found.origins_with(write.origin)
        if raw is None and not found.standing:
            raise NotFound(f"{write.id}: no such record")
        ordered = write.origin if write.expected_version == 0 else None
        late = ordered is not None and found.overtook(ordered)
        if found.standing != write.expected_version or late:
            if ordered is not None and ordered.ordered and not late:
                # Refused for good: were it to come again when nothing stands, it would be written.
                remember(db, write.id, found.origins_with(ordered, refused=True))
            current = find(db, write.id, now)[1]
            conflict = VersionConflict(write.id, write.expected_version, found.standing, current)
            return Outcome(error=conflict)
        expires_at = None if raw is None or write.ttl_s is None else now + write.ttl_s
        record = put(
            db,
            write.id,
            raw,
            found.latest,
            now,
            write.writer,
            expires_at=expires_at,
            origins=origins,
        )
        return Outcome(record)

    def _bounded(self, work: _Work[T]) -> _Work[T]:
        """The work, and then room for what it wrote."""
        max_bytes = self._max_bytes
        if max_bytes is None:
            return work

        def bounded(db: sqlite3.Connection) -> T:
            before = held(db)
            result = work(db)
            make_room(db, before, max_bytes, self._clock.wall(), self._path)
            return result

        return bounded

    def _open_writer(self) -> sqlite3.Connection:
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
            db.execute("BEGIN IMMEDIATE")
            upgrade(db, self._path)
            db.execute("COMMIT")
        except BaseException:  # whatever it was, the file is let go
            db.close()
            raise
        return db

    def _open_reader(self) -> sqlite3.Connection:
        db = self._connect()
        db.execute("PRAGMA query_only = ON")
        return db

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


async def _run(worker: Worker, work: _Work[T]) -> T:
    (done,) = await worker.run((work,))
    if done.error is not None:
        raise done.error
    return cast("T", done.value)


def _written(outcome: Outcome) -> Record:
    if outcome.error is not None:
        raise outcome.error
    assert outcome.record is not None  # one of the two is there
    return outcome.record
