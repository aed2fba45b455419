"""Reading and writing what a replica remembers; within work that a store runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from secondlook.shared.memory.record import Document, Record, encode
from secondlook.shared.memory.replication.values import Outgoing, Place, State

_OUTGOING = "id, token, data, expires_at, expected, local_version, writer"


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that stands in the remote store, as last seen.

    Attributes:
        version: of the remote store.
        change: of the remote store.
        data: its document, as ancestor of what stands here; ``None``: the same as here, or no
            ancestor.
    """

    version: int
    change: int
    data: Document | None


def seen(db: sqlite3.Connection, record_id: str) -> Seen | None:
    """The remote record as last seen."""
    row = db.execute(
        "SELECT version, change, data FROM replica_seen WHERE id = ?", (record_id,)
    ).fetchone()
    return None if row is None else Seen(row[0], row[1], _document(row[2]))


def see(db: sqlite3.Connection, record_id: str, remote: Record | None, *, keep: bool) -> None:
    """Remember what stands in the remote store.

    Args:
        db: given to the work.
        record_id: the id.
        remote: what stands there, or its tombstone; ``None``: nothing does.
        keep: the record here differs, so that the document has to be kept.
    """
    state = State.of(remote)
    if remote is None or state is None:
        db.execute("DELETE FROM replica_seen WHERE id = ?", (record_id,))
        return
    db.execute(
        "INSERT INTO replica_seen (id, version, change, listing, data)"
        " VALUES (?, ?, ?, (SELECT listing FROM replica), ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, change = excluded.change,"
        " listing = excluded.listing, data = excluded.data",
        (record_id, remote.version, remote.change, encode(state.data) if keep else None),
    )


def list_seen(db: sqlite3.Connection, record_id: str) -> None:
    """A full listing has shown the record."""
    db.execute(
        "UPDATE replica_seen SET listing = (SELECT listing FROM replica) WHERE id = ?", (record_id,)
    )


def unlisted(db: sqlite3.Connection, prefix: str, listing: int, limit: int) -> list[str]:
    """Records under a prefix that a full listing has not shown."""
    rows = db.execute(
        "SELECT id FROM replica_seen WHERE listing < ? AND substr(id, 1, ?) = ? LIMIT ?",
        (listing, len(prefix), prefix, limit),
    )
    return [row[0] for row in rows]


def outgoing(db: sqlite3.Connection, limit: int) -> list[Outgoing]:
    """The writes under way, in the order in which they began."""
    rows = db.execute(
        f"SELECT {_OUTGOING} FROM replica_outgoing ORDER BY number LIMIT ?",  # noqa: S608 - no value in it
        (limit,),
    )
    return [Outgoing(row[0], row[1], _document(row[2]), *row[3:]) for row in rows]


def is_outgoing(db: sqlite3.Connection, record_id: str) -> bool:
    """Whether a write of the record is under way."""
    row = db.execute("SELECT 1 FROM replica_outgoing WHERE id = ?", (record_id,)).fetchone()
    return row is not None


def next_token(db: sqlite3.Connection, now: float) -> str:
    """A token above all earlier ones, at ``now`` (wall clock, seconds); in order, see `Origin`.

    The time is in it, so that a file that was restored from a backup does not use tokens again.
    """
    rows = db.execute(
        "UPDATE replica SET token = max(token + 1, ?) RETURNING token", (int(now * 1e6),)
    ).fetchall()
    return f"{rows[0][0]:020d}"


def begin(db: sqlite3.Connection, out: Outgoing) -> None:
    """A write is about to be sent."""
    raw = None if out.data is None else encode(out.data)
    db.execute(
        f"INSERT INTO replica_outgoing ({_OUTGOING}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - no value in it
        (out.id, out.token, raw, out.expires_at, out.expected, out.local_version, out.writer),
    )


def end(db: sqlite3.Connection, out: Outgoing) -> bool:
    """The write was answered; whether it was still under way."""
    ended = db.execute(
        "DELETE FROM replica_outgoing WHERE id = ? AND token = ?", (out.id, out.token)
    )
    return ended.rowcount == 1


def place(db: sqlite3.Connection, prefix: str) -> Place:
    """How far the prefix was pulled."""
    row = db.execute(
        "SELECT cursor, listing, listed, since FROM replica_place WHERE prefix = ?", (prefix,)
    ).fetchone()
    return Place() if row is None else Place(row[0], row[1], bool(row[2]), row[3])


def move(db: sqlite3.Connection, prefix: str, to: Place, pulled_at: float | None = None) -> None:
    """The prefix was pulled this far; with ``pulled_at`` (wall clock, seconds) completely."""
    db.execute(
        "INSERT INTO replica_place (prefix, cursor, listing, listed, since, pulled_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (prefix) DO UPDATE SET cursor = excluded.cursor,"
        " listing = excluded.listing, listed = excluded.listed, since = excluded.since,"
        " pulled_at = coalesce(excluded.pulled_at, pulled_at)",
        (prefix, to.cursor, to.listing, to.listed, to.since, pulled_at),
    )


def next_listing(db: sqlite3.Connection) -> int:
    """Number of a full listing that begins."""
    rows = db.execute("UPDATE replica SET listing = listing + 1 RETURNING listing").fetchall()
    return int(rows[0][0])


def waiting(db: sqlite3.Connection, prefixes: Sequence[str], limit: int) -> list[tuple[str, int]]:
    """Ids and versions of what has to be sent, by change: not parked, not under way."""
    where, values = _under(prefixes, "r.id")
    return db.execute(
        "SELECT r.id, r.version FROM records r INDEXED BY dirty"  # noqa: S608 - no value in it
        f" WHERE r.synced_version <> r.version AND {where}"
        " AND NOT EXISTS (SELECT 1 FROM replica_parked p"
        " WHERE p.id = r.id AND p.local_version = r.version)"
        " AND NOT EXISTS (SELECT 1 FROM replica_outgoing o WHERE o.id = r.id)"
        " ORDER BY r.change LIMIT ?",
        (*values, limit),
    ).fetchall()


def count_dirty(db: sqlite3.Connection, prefixes: Sequence[str]) -> int:
    """How many records the remote store does not have as they are here."""
    where, values = _under(prefixes, "id")
    row = db.execute(
        "SELECT count(*) FROM records INDEXED BY dirty"  # noqa: S608 - no value in it
        f" WHERE synced_version <> version AND {where}",
        values,
    ).fetchone()
    return int(row[0])


def pulled_at(db: sqlite3.Connection, prefixes: Sequence[str]) -> dict[str, float]:
    """When each prefix was last pulled completely, wall clock, seconds; absent: never."""
    rows = db.execute("SELECT prefix, pulled_at FROM replica_place WHERE pulled_at IS NOT NULL")
    return {prefix: at for prefix, at in rows if prefix in prefixes}


def _under(prefixes: Sequence[str], column: str) -> tuple[str, list[str | int]]:
    """SQL that is true for ids under any of the prefixes, and its values."""
    terms = " OR ".join([f"substr({column}, 1, ?) = ?"] * len(prefixes))
    values = [value for prefix in prefixes for value in (len(prefix), prefix)]
    return f"({terms or '0'})", values


def _document(raw: bytes | None) -> Document | None:
    if raw is None:
        return None
    document: Document = json.loads(raw)
    return document
