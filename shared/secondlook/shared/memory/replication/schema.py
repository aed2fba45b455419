"""What a replica remembers beside its records, in the same SQLite file.

- ``replica``: one row: the id of this replica, the number of the newest full listing, and
  the newest token;
- ``replica_seen``: each record that stands in the remote store, as last seen: the common ancestor.
  Its document is kept only while the record here differs (``data`` is NULL otherwise): a trigger
  sets the old document aside in the very transaction in which somebody writes over it;
- ``replica_outgoing``: the writes under way;
- ``replica_parked``: what waits for somebody to change it, with the other side;
- ``replica_place``: how far each prefix was pulled.

A record that has no row in ``replica_seen`` is, as far as is known, absent from the remote store.
"""

from __future__ import annotations

import secrets
import sqlite3

_STATEMENTS = (
    """
    CREATE TABLE IF NOT EXISTS replica (
        id TEXT NOT NULL,
        listing INTEGER NOT NULL DEFAULT 0,
        token INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS replica_seen (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        change INTEGER NOT NULL,
        listing INTEGER NOT NULL,
        data BLOB
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS replica_outgoing (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        token TEXT NOT NULL,
        data BLOB,
        expires_at REAL,
        expected INTEGER NOT NULL,
        local_version INTEGER NOT NULL,
        writer TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS replica_parked (
        id TEXT PRIMARY KEY,
        undecided INTEGER NOT NULL,
        reason TEXT NOT NULL,
        since REAL NOT NULL,
        local_version INTEGER NOT NULL,
        version INTEGER NOT NULL,
        change INTEGER NOT NULL,
        updated_at REAL NOT NULL,
        writer TEXT NOT NULL,
        expires_at REAL,
        data BLOB
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS replica_place (
        prefix TEXT PRIMARY KEY,
        cursor INTEGER NOT NULL,
        listing INTEGER NOT NULL,
        listed INTEGER NOT NULL,
        since REAL NOT NULL,
        pulled_at REAL
    )
    """,
    # What had expired was absent: who wrote here after that did not build upon it.
    """
    CREATE TRIGGER IF NOT EXISTS replica_sets_aside BEFORE UPDATE OF version ON records
    WHEN old.synced_version = old.version AND new.synced_version <> new.version BEGIN
        UPDATE replica_seen SET data =
            CASE WHEN old.expires_at <= new.updated_at THEN NULL ELSE old.data END
        WHERE id = old.id;
    END
    """,
    # Rows of records are deleted only where they are evicted or forgotten, never by `delete`.
    """
    CREATE TRIGGER IF NOT EXISTS replica_forgets AFTER DELETE ON records BEGIN
        DELETE FROM replica_seen WHERE id = old.id;
        DELETE FROM replica_parked WHERE id = old.id;
    END
    """,
)


def create(db: sqlite3.Connection) -> str:
    """Make the tables where they are missing; returns the id of this replica."""
    for statement in _STATEMENTS:
        db.execute(statement)
    row = db.execute("SELECT id FROM replica").fetchone()
    if row is None:
        row = (secrets.token_hex(12),)
        db.execute("INSERT INTO replica (id) VALUES (?)", row)
    return str(row[0])
