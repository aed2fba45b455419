"""The tables, and how a file of an older Secondlook becomes one of this.

``records`` has one row a record; its key is the record's newest change, so that reading changes in
order is reading the table from a place on, and the index of ids leads from an id, or from a range
of them, to changes. ``state`` has one row:

- ``change``: the newest change ever given;
- ``floor``: see `CursorTooOld`;
- ``bytes``: what all records weigh (`secondlook.shared.memory.sqlite.room`);
- ``dirty``: how many records have ``synced_version <> version``;
- ``replica``: 1 once a replicator has attached (`become_replica`);
- ``evicted_version``: the highest version of any record that was evicted.

``change``, ``bytes`` and ``dirty`` are kept by triggers, within the transaction that changes a row,
whoever changes it: they are right after a crash too. A table that hangs on ``records`` can add what
it weighs to ``bytes`` by triggers of its own, and can have its rows removed by a trigger
``AFTER DELETE ON records``: rows are deleted only where a record is evicted or forgotten.
"""

from __future__ import annotations

import sqlite3

from secondlook.shared.errors import InvalidConfig

SCHEMA_VERSION = 2
RECORD_OVERHEAD_BYTES = 128
"""What a record weighs beside id, data, writer and origins: columns, index, space not filled."""


def _weight(row: str) -> str:
    """SQL: bytes of a row; the id counts twice, since the index of ids holds it too."""
    return (
        f"(2 * length(CAST({row}.id AS BLOB)) + length({row}.data) + length({row}.origins)"
        f" + length(CAST({row}.writer AS BLOB)) + {RECORD_OVERHEAD_BYTES})"
    )


def _dirty(row: str) -> str:
    """SQL: 1 for a record whose newest version is not synchronised."""
    return f"({row}.synced_version <> {row}.version)"


ENDS_AT = "(CASE deleted WHEN 1 THEN updated_at ELSE expires_at END)"
"""SQL: wall clock at which a record died or will die; spelt as in the indexes."""

_SCHEMA = f"""
CREATE TABLE records (
    change INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    synced_version INTEGER NOT NULL DEFAULT 0,
    updated_at REAL NOT NULL,
    expires_at REAL,
    deleted INTEGER NOT NULL,
    writer TEXT NOT NULL,
    origins TEXT NOT NULL DEFAULT '',
    data BLOB NOT NULL
);
CREATE INDEX ending ON records ({ENDS_AT}) WHERE deleted OR expires_at IS NOT NULL;
CREATE INDEX clean_ending ON records ({ENDS_AT})
    WHERE synced_version = version AND (deleted OR expires_at IS NOT NULL);
CREATE INDEX clean ON records (change) WHERE synced_version = version;
CREATE TABLE state (
    change INTEGER NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    dirty INTEGER NOT NULL DEFAULT 0,
    replica INTEGER NOT NULL DEFAULT 0,
    evicted_version INTEGER NOT NULL DEFAULT 0
);
INSERT INTO state (change) VALUES (0);
CREATE TRIGGER record_added AFTER INSERT ON records BEGIN
    UPDATE state SET change = max(change, new.change),
        bytes = bytes + {_weight("new")}, dirty = dirty + {_dirty("new")};
END;
CREATE TRIGGER record_removed AFTER DELETE ON records BEGIN
    UPDATE state SET bytes = bytes - {_weight("old")}, dirty = dirty - {_dirty("old")};
END;
CREATE TRIGGER record_changed AFTER UPDATE ON records BEGIN
    UPDATE state SET change = max(change, new.change),
        bytes = bytes + {_weight("new")} - {_weight("old")},
        dirty = dirty + {_dirty("new")} - {_dirty("old")};
END;
"""  # noqa: S608 - no value in it

_FROM_1 = (
    "ALTER TABLE records RENAME TO records_1",
    _SCHEMA,
    """
    INSERT INTO records (change, id, version, updated_at, expires_at, deleted, writer, data)
    SELECT change, id, version, updated_at, expires_at, deleted, writer, data FROM records_1
    ORDER BY change
    """,
    "UPDATE state SET change = (SELECT change FROM sequence)",
    "DROP TABLE records_1",
    "DROP TABLE sequence",
)


def upgrade(db: sqlite3.Connection, path: str) -> None:
    """Give a new file its tables, or an older file those of this version; in a transaction.

    Raises:
        InvalidConfig: the file is of a newer Secondlook.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA_VERSION:
        raise InvalidConfig(
            f"context memory {path} has schema {found}, this Secondlook knows {SCHEMA_VERSION}",
            remedy="upgrade Secondlook or choose another file",
        )
    if found == SCHEMA_VERSION:
        return
    for script in (_SCHEMA,) if found == 0 else _FROM_1:
        for statement in _statements(script):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def become_replica(db: sqlite3.Connection) -> None:
    """Say that what is written here is to reach another store; within a transaction, repeatable.

    From now on `SqliteStore.compact` forgets only what is synchronised, and the index ``dirty``
    leads to what is not.
    """
    db.execute("UPDATE state SET replica = 1 WHERE replica = 0")
    db.execute(
        "CREATE INDEX IF NOT EXISTS dirty ON records (change) WHERE synced_version <> version"
    )


def _statements(script: str) -> list[str]:
    """The statements of a script: `executescript` would commit first."""
    statements, begun = [], ""
    for part in script.split(";"):
        begun += part + ";"
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return statements
