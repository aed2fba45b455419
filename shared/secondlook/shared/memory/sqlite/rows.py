"""From rows to records and back, within work that `SqliteStore.transact` or `read` runs."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.record import Origin, Record
from secondlook.shared.memory.rules import MAX_REPLICAS, as_seen

COLUMNS = "id, data, version, change, updated_at, writer, expires_at, deleted"

_REFUSED = "!"
"""After the token of a creation that was refused."""
_FIND = f"SELECT {COLUMNS} FROM records WHERE id = ?"  # noqa: S608 - no value in it
_HEAD = "SELECT version, deleted, expires_at, origins FROM records WHERE id = ?"
_PUT = (
    "INSERT INTO records (id, data, version, updated_at, writer, expires_at, deleted,"
    " synced_version, origins, change)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT change + 1 FROM state))"
    " ON CONFLICT (id) DO UPDATE SET data = excluded.data, version = excluded.version,"
    " change = excluded.change, updated_at = excluded.updated_at, writer = excluded.writer,"
    " expires_at = excluded.expires_at, deleted = excluded.deleted"
)
_PUT_OF = {
    # What is not given stays as it is: an unsynchronised write keeps what is synchronised.
    (synced, origins): f"{_PUT}{synced * ', synced_version = excluded.synced_version'}"
    f"{origins * ', origins = excluded.origins'} RETURNING change"
    for synced in (False, True)
    for origins in (False, True)
}


@dataclass(slots=True)
class Head:
    """What a write must know of an id.

    Attributes:
        latest: the newest version ever written; where there was none: that after which to go on.
        standing: the version that stands; 0 where nothing does.
        origins: as stored.
    """

    latest: int
    standing: int
    origins: str

    def remembers(self, origin: Origin) -> bool:
        """Whether this write has happened."""
        return f"{origin.replica}={origin.token}" in self.origins.split()

    def overtook(self, origin: Origin) -> bool:
        """Whether a creation comes again, behind later writes of its replica, or once refused."""
        for one in self.origins.split():
            replica, _, token = one.partition("=")
            last = Origin(replica, token.removesuffix(_REFUSED))
            if replica == origin.replica and origin.ordered and last.ordered:
                return origin.token <= last.token
        return False

    def origins_with(self, origin: Origin, refused: bool = False) -> str:
        """The origins, ``origin`` instead of its replica's last, the newest at the end."""
        kept = [one for one in self.origins.split() if not one.startswith(f"{origin.replica}=")]
        newest = f"{origin.replica}={origin.token}{_REFUSED * refused}"
        return " ".join([*kept[1 - MAX_REPLICAS :], newest])


def head(db: sqlite3.Connection, record_id: str, now: float) -> Head:
    """What a write at ``now`` (wall clock, seconds) must know of an id."""
    row = db.execute(_HEAD, (record_id,)).fetchone()
    if row is None:
        # Never a version that an evicted record had: whoever has seen that one must conflict.
        return Head(db.execute("SELECT evicted_version FROM state").fetchone()[0], 0, "")
    version, deleted, expires_at, origins = row
    gone = deleted or (expires_at is not None and expires_at <= now)
    return Head(version, 0 if gone else version, origins)


def look(db: sqlite3.Connection, record_id: str, now: float) -> Record | None:
    """The record as seen at ``now`` (wall clock, seconds), possibly a tombstone.

    Raises:
        StoreError: the row is damaged.
    """
    row = db.execute(_FIND, (record_id,)).fetchone()
    return None if row is None else as_seen(record_of(row), now)


def remember(db: sqlite3.Connection, record_id: str, origins: str) -> None:
    """Replace the origins, and nothing else."""
    db.execute("UPDATE records SET origins = ? WHERE id = ?", (origins, record_id))


def find(db: sqlite3.Connection, record_id: str, now: float) -> tuple[int, Record | None]:
    """The newest version ever written, and the record that stands at ``now`` (wall clock, seconds).

    Where nothing was ever written the version is that after which to go on.

    Raises:
        StoreError: the row is damaged.
    """
    record = look(db, record_id, now)
    if record is None:
        return head(db, record_id, now).latest, None
    return record.version, None if record.deleted else record


def put(
    db: sqlite3.Connection,
    record_id: str,
    raw: bytes | None,
    latest: int,
    now: float,
    writer: str,
    *,
    expires_at: float | None = None,
    origins: str | None = None,
    synced: bool = False,
) -> Record:
    """Write the version after ``latest``, whatever stands. Checks nothing.

    Args:
        db: given to the work.
        record_id: the id.
        raw: the document as `encode` gives it; ``None`` leaves a tombstone.
        latest: the newest version, from `find` in the same work.
        now: wall clock of the write, seconds since the Unix epoch.
        writer: who writes.
        expires_at: wall clock of its end; ``None``: never.
        origins: what to remember (`Head.origins_with`); ``None`` keeps what is remembered.
        synced: what is written is what the other store has: the record is clean.
    """
    deleted = raw is None
    raw = b"{}" if raw is None else raw
    version = latest + 1
    row = (record_id, raw, version, now, writer, expires_at, deleted)
    ((change,),) = db.execute(
        _PUT_OF[synced, origins is not None], (*row, version if synced else 0, origins or "")
    ).fetchall()
    return record_of((record_id, raw, version, change, now, writer, expires_at, deleted))


def mark_synced(db: sqlite3.Connection, record_id: str, version: int) -> None:
    """Say that the other store has ``version`` of the record; a newer one here stays dirty."""
    db.execute("UPDATE records SET synced_version = ? WHERE id = ?", (version, record_id))


def record_of(row: tuple[Any, ...]) -> Record:
    """The record of a row of ``COLUMNS``.

    Raises:
        StoreError: its data is damaged.
    """
    record_id, raw, version, change, updated_at, writer, expires_at, deleted = row
    try:
        # Not `decode`: the limits were checked when it was written.
        data = {} if deleted else json.loads(raw)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise StoreError(
            f"{record_id}: stored data is damaged", remedy="restore the file, or save it anew"
        )
    return Record(record_id, data, version, change, updated_at, writer, expires_at, bool(deleted))
