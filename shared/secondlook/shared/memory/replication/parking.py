"""Records that are not sent until somebody changes them, with the reason and the other side."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from secondlook.shared.memory.record import Record, encode


@dataclass(frozen=True, slots=True)
class Held:
    """A parked record.

    Attributes:
        undecided: both sides changed it and no rule decides; otherwise it was refused.
        reason: in words.
        since: wall clock, seconds.
        local_version: the local version that was parked; a newer one is tried again.
        theirs: of an undecided one, what stands in the remote store.
    """

    undecided: bool
    reason: str
    since: float
    local_version: int
    theirs: Record | None


def park(
    db: sqlite3.Connection,
    record_id: str,
    reason: str,
    now: float,
    local_version: int,
    theirs: Record | None = None,
) -> None:
    """Hold a record back; undecided with ``theirs``, otherwise refused. Repeatable."""
    other = (
        (0, 0, 0.0, "", None, None)
        if theirs is None
        else (
            theirs.version,
            theirs.change,
            theirs.updated_at,
            theirs.writer,
            theirs.expires_at,
            encode(theirs.data),
        )
    )
    db.execute(
        "INSERT OR REPLACE INTO replica_parked (id, undecided, reason, since, local_version,"
        " version, change, updated_at, writer, expires_at, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (record_id, theirs is not None, reason, now, local_version, *other),
    )


def held(db: sqlite3.Connection, record_id: str) -> Held | None:
    """The record, if it is parked."""
    row = db.execute(
        "SELECT undecided, reason, since, local_version, version, change, updated_at, writer,"
        " expires_at, data FROM replica_parked WHERE id = ?",
        (record_id,),
    ).fetchone()
    if row is None:
        return None
    undecided, reason, since, local_version, version, change, updated_at, writer, ends, raw = row
    theirs = None
    if undecided:
        theirs = Record(record_id, json.loads(raw), version, change, updated_at, writer, ends)
    return Held(bool(undecided), reason, since, local_version, theirs)


def release(db: sqlite3.Connection, record_id: str) -> None:
    """Hold the record back no longer."""
    db.execute("DELETE FROM replica_parked WHERE id = ?", (record_id,))


def release_refused(db: sqlite3.Connection, before: float) -> None:
    """Hold back no longer what was refused before a wall clock time, seconds."""
    db.execute("DELETE FROM replica_parked WHERE NOT undecided AND since <= ?", (before,))


def parked_ids(db: sqlite3.Connection, limit: int) -> list[str]:
    """What is parked, the oldest first."""
    rows = db.execute("SELECT id FROM replica_parked ORDER BY since, id LIMIT ?", (limit,))
    return [row[0] for row in rows]


def parked_counts(db: sqlite3.Connection) -> tuple[int, int]:
    """How many are undecided, how many refused; only what nobody has changed since."""
    undecided, refused = db.execute(
        "SELECT coalesce(sum(p.undecided), 0), coalesce(sum(NOT p.undecided), 0)"
        " FROM replica_parked p JOIN records r ON r.id = p.id AND r.synced_version <> r.version"
    ).fetchone()
    return int(undecided), int(refused)
