"""Saves into the SQLite store against bare SQLite in the same journal mode."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from secondlook.cli.bench.memory.callers import Load, Prepare, Request, compare
from secondlook.cli.bench.memory.documents import document, record_id
from secondlook.cli.bench.memory.saves import NUMBERS, saves
from secondlook.shared.memory.record import encode
from secondlook.shared.memory.sqlite import SqliteStore


async def sqlite_saves(folder: Path, callers: int, seconds: float, rounds: int) -> dict[str, Load]:
    """Loads of ``store`` and ``bare``, both on files in ``folder``."""
    store = await SqliteStore.open(folder / f"store-{callers}.db")
    try:
        async with _bare(folder / f"bare-{callers}.db") as bare:
            return await compare({"store": saves(store), "bare": bare}, callers, seconds, rounds)
    finally:
        await store.close()


@asynccontextmanager
async def _bare(path: Path) -> AsyncIterator[Prepare]:
    """The least that keeps the promise: one thread, a write-ahead log, one commit a save."""
    thread = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    db = await loop.run_in_executor(thread, _open, path)

    def one() -> Request:
        number = next(NUMBERS)
        identity, data, versions = record_id(number), document(number), itertools.count(1)

        def write(version: int) -> None:
            # Whoever stores documents must serialize them.
            row = (identity, encode(data), version)
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)

        async def save() -> None:
            await loop.run_in_executor(thread, write, next(versions))

        return save

    async def prepare(callers: int) -> list[Request]:
        return [one() for _ in range(callers)]

    try:
        yield prepare
    finally:
        await loop.run_in_executor(thread, db.close)
        thread.shutdown(wait=False)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE records (id TEXT PRIMARY KEY, data BLOB, version INTEGER) STRICT")
    return db
