"""Files of older Secondlooks, and what their tables become."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from secondlook.shared.errors import StoreError
from secondlook.shared.memory import Record, SqliteStore
from secondlook.shared.memory.sqlite.schema import RECORD_OVERHEAD_BYTES

pytestmark = pytest.mark.anyio

SCHEMA_1 = """
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
INSERT INTO sequence VALUES (9);
PRAGMA user_version = 1;
"""


ROWS_1 = [
    ("b", b'{"n":2}', 3, 7, 1.5, "w", None, 0),
    ("a/ü", b'{"n":1}', 1, 4, 0.5, "wr", 9e9, 0),
    ("gone", b"{}", 2, 8, 2.5, "w", None, 1),
]


@pytest.fixture
def file_1(tmp_path: Path) -> Path:
    """A file as the first version of the schema has it."""
    file = tmp_path / "memory.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA_1)
        db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ROWS_1)
    db.close()
    return file


async def test_a_file_of_the_first_schema_keeps_all_it_holds(file_1: Path) -> None:
    store = await SqliteStore.open(file_1)
    page = await store.changes()
    assert page.records == (
        Record("a/ü", {"n": 1}, 1, 4, 0.5, "wr", 9e9),
        Record("b", {"n": 2}, 3, 7, 1.5, "w"),
        Record("gone", {}, 2, 8, 2.5, "w", None, True),
    )
    assert page.cursor == 9
    assert (await store.save("b", {}, 3, writer="w")).change == 10
    assert (await store.save("gone", {}, 0, writer="w")).version == 3
    await store.close()


async def test_the_counts_of_an_old_file_are_made(file_1: Path) -> None:
    store = await SqliteStore.open(file_1)
    weighs = sum(
        2 * len(row[0].encode()) + len(row[1]) + len(row[5]) + RECORD_OVERHEAD_BYTES
        for row in ROWS_1
    )
    state = await store.read(
        lambda db: db.execute("SELECT change, floor, bytes, dirty, replica FROM state").fetchall()
    )
    assert state == [(9, 0, weighs, 3, 0)]
    await store.close()


async def test_an_upgrade_that_fails_leaves_the_old_file(file_1: Path) -> None:
    with sqlite3.connect(file_1) as db:
        db.execute("CREATE TABLE state (x)")
    db.close()
    with pytest.raises(StoreError, match="already exists"):
        await SqliteStore.open(file_1)
    db = sqlite3.connect(file_1)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT * FROM records ORDER BY change DESC").fetchall() == [
        ROWS_1[2],
        ROWS_1[0],
        ROWS_1[1],
    ]
    db.close()
