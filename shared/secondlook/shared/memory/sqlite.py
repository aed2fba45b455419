"""The context memory in a SQLite file: the embedded default, and every edge's local replica.

One connection in one thread of its own: SQLite has one writer at a time anyway, and the event loop
never waits for a disk. The journal is a write-ahead log with ``synchronous=FULL``: a commit is on
the disk before it is acknowledged, so that neither a killed process nor a cut power loses it. That
costs one fsync a write; records are small and writes are few, so the promise is worth more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import InvalidConfig, InvalidInput, NotFound, StoreError
from secondlook.shared.memory.record import Changes, Document, Record, check_id, decode, encode
from secondlook.shared.memory.rules import as_seen, check_page, check_write, expect

T = TypeVar("T")

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE records (
    id TEXT PRIMARY KEY,
    data BLOB NOT NULL,
    version INTEGER NOT NULL,
    change INTEGER NOT NULL UNIQUE,
    updated_at REAL NOT NULL,
    writer TEXT NOT NULL,
    expires_at REAL,
    deleted INTEGER NOT NULL
) STRICT;
CREATE TABLE sequence (change INTEGER NOT NULL) STRICT;
INSERT INTO sequence VALUES (0);
PRAGMA user_version = 1;
"""
_COLUMNS = "id, data, version, change, updated_at, writer, expires_at, deleted"


class SqliteStore:
    """See `ContextStore`. Opened with `SqliteStore.open`.

    Several processes may share a file: each write is one immediate transaction.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "context-memory")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: str | Path, *, clock: Clock | None = None) -> SqliteStore:
        """Open or create the file; ``":memory:"`` keeps everything in memory.

        Raises:
            InvalidConfig: the file is of a newer Secondlook, or its folder does not exist.
            StoreError: it cannot be opened or is not a SQLite file.
        """
        store = cls(str(path), clock or SystemClock())
        try:
            await store._run(store._connect)
        except BaseException:
            store._thread.shutdown(wait=False)
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
    ) -> Record:
        """See `ContextStore.save`."""
        check_write(record_id, expected_version, writer, ttl_s)
        raw = encode(data)

        def write(db: sqlite3.Connection) -> Record:
            now = self._clock.wall()
            latest, standing = _find(db, record_id, now)
            expect(record_id, expected_version, standing)
            expires_at = None if ttl_s is None else now + ttl_s
            return _put(db, record_id, raw, latest, now, writer, expires_at, deleted=False)

        return await self._transact(write)

    async def load(self, record_id: str) -> Record:
        """See `ContextStore.load`."""
        check_id(record_id)

        def read(db: sqlite3.Connection) -> Record:
            _, standing = _find(db, record_id, self._clock.wall())
            if standing is None:
                raise NotFound(f"{record_id}: no such record")
            return standing

        return await self._run(lambda: read(self._db()))

    async def delete(self, record_id: str, expected_version: int, *, writer: str) -> Record:
        """See `ContextStore.delete`."""
        check_write(record_id, expected_version, writer, None)

        def write(db: sqlite3.Connection) -> Record:
            now = self._clock.wall()
            latest, standing = _find(db, record_id, now)
            if standing is None:
                raise NotFound(f"{record_id}: no such record")
            expect(record_id, expected_version, standing)
            return _put(db, record_id, b"{}", latest, now, writer, None, deleted=True)

        return await self._transact(write)

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """See `ContextStore.changes`."""
        check_page(prefix, since, limit)

        def read(db: sqlite3.Connection) -> Changes:
            now = self._clock.wall()
            # The newest change is read first: what is written in between comes again next time.
            newest = int(db.execute("SELECT change FROM sequence").fetchone()[0])
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM records WHERE change > ? AND change <= ? "  # noqa: S608 - no value in it
                "AND substr(id, 1, ?) = ? ORDER BY change LIMIT ?",
                (since, newest, len(prefix), prefix, limit + 1),
            ).fetchall()
            records = tuple(as_seen(_record(row), now) for row in rows[:limit])
            more = len(rows) > limit
            return Changes(records, records[-1].change if more else max(since, newest), more)

        return await self._run(lambda: read(self._db()))

    async def ping(self) -> None:
        """See `ContextStore.ping`."""
        await self._run(lambda: self._db().execute("SELECT change FROM sequence").fetchone())

    async def close(self) -> None:
        """See `ContextStore.close`."""
        if self._closed:
            return
        self._closed = True
        # Shielded, since a half-closed thread would keep the process from ending.
        await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        )
        self._thread.shutdown(wait=False)

    def _connect(self) -> None:
        try:
            db = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"context memory {self._path} cannot be opened: {error}",
                remedy="the folder must exist and be writable",
            ) from error
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            self._upgrade(db)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        self._connection = db

    def _upgrade(self, db: sqlite3.Connection) -> None:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise InvalidConfig(
                f"context memory {self._path} has schema {found}, this Secondlook knows "
                f"{SCHEMA_VERSION}",
                remedy="upgrade Secondlook or choose another file",
            )
        if found == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("the context memory is closed")
        return self._connection

    async def _transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        def transaction() -> T:
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                result = write(db)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            try:
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

        return await self._run(transaction)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreError("the context memory is closed")

        def guarded() -> T:
            try:
                return work()
            except sqlite3.Error as error:
                raise _mapped(error, self._path) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)


def _find(db: sqlite3.Connection, record_id: str, now: float) -> tuple[int, Record | None]:
    """The newest version ever written (0: none), and the record that stands."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE id = ?",  # noqa: S608 - no value in it
        (record_id,),
    ).fetchone()
    if row is None:
        return 0, None
    record = as_seen(_record(row), now)
    return record.version, None if record.deleted else record


def _put(
    db: sqlite3.Connection,
    record_id: str,
    raw: bytes,
    latest: int,
    now: float,
    writer: str,
    expires_at: float | None,
    *,
    deleted: bool,
) -> Record:
    (change,) = db.execute("UPDATE sequence SET change = change + 1 RETURNING change").fetchall()[0]
    row = (record_id, raw, latest + 1, change, now, writer, expires_at, int(deleted))
    db.execute(
        f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - no value in it
        row,
    )
    return _record(row)


def _record(row: tuple[Any, ...]) -> Record:
    record_id, raw, version, change, updated_at, writer, expires_at, deleted = row
    try:
        data = decode(raw)
    except InvalidInput as error:
        raise StoreError(f"{record_id}: stored data is damaged") from error
    return Record(
        id=record_id,
        data=data,
        version=version,
        change=change,
        updated_at=updated_at,
        writer=writer,
        expires_at=expires_at,
        deleted=bool(deleted),
    )


def _mapped(error: sqlite3.Error, path: str) -> StoreError:
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
        return StoreError(
            f"context memory {path} is not a SQLite file", remedy="move it away or restore it"
        )
    if "malformed" in str(error):
        return StoreError(
            f"context memory {path} is damaged: {error}", remedy="restore it, or move it away"
        )
    return StoreError(f"context memory {path}: {error}")
