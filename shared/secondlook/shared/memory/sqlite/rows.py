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

_FIND = f"SELECT {COLUMNS}, origins FROM records WHERE id = ?"  # noqa: S608 - no value in it
_PUT = (
    "INSERT INTO records (id, data, version, change, updated_at, writer, expires_at, deleted,"
    " synced_version, origins) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET data = excluded.data, version = excluded.version,"
    " change = excluded.change, updated_at = excluded.updated_at, writer = excluded.writer,"
    " expires_at = excluded.expires_at, deleted = excluded.deleted"
)
_SYNCED = ", synced_version = excluded.synced_version"
_ORIGINS = ", origins = excluded.origins"


@dataclass(frozen=True, slots=True)
class Found:
    """What a store knows about an id.

    Attributes:
        version: the newest ever written; where there is no row, that after which to go on.
        record: what stands, or its tombstone; ``None`` where there is no row.
        origins: as stored.
    """

    version: int
    record: Record | None = None
    origins: str = ""

    @property
    def standing(self) -> Record | None:
        """The record that stands, if any."""
        return None if self.record is None or self.record.deleted else self.record

    def remembers(self, origin: Origin) -> bool:
        """Whether this write has happened."""
        return f"{origin.replica}={origin.token}" in self.origins.split()

    def origins_with(self, origin: Origin) -> str:
        """The origins, ``origin`` instead of its replica's last, the newest at the end."""
        kept = [one for one in self.origins.split() if not one.startswith(f"{origin.replica}=")]
        return " ".join([*kept[1 - MAX_REPLICAS :], f"{origin.replica}={origin.token}"])


def look(db: sqlite3.Connection, record_id: str, now: float) -> Found:
    """What the store knows about an id at ``now`` (wall clock, seconds).

    Raises:
        StoreError: the row is damaged.
    """
    row = db.execute(_FIND, (record_id,)).fetchone()
    if row is None:
        # Never a version that an evicted record had: whoever has seen that one must conflict.
        return Found(int(db.execute("SELECT evicted_version FROM state").fetchone()[0]))
    record = as_seen(record_of(row[:-1]), now)
    return Found(record.version, record, row[-1])


def find(db: sqlite3.Connection, record_id: str, now: float) -> tuple[int, Record | None]:
    """The newest version ever written, and the record that stands at ``now`` (wall clock).

    Where nothing was ever written the version is that after which to go on.

    Raises:
        StoreError: the row is damaged.
    """
    found = look(db, record_id, now)
    return found.version, found.standing


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
        origins: what to remember (`Found.origins_with`); ``None`` keeps what is remembered.
        synced: what is written is what the other store has: the record is clean.
    """
    (change,) = db.execute("UPDATE state SET change = change + 1 RETURNING change").fetchall()[0]
    deleted = raw is None
    version = latest + 1
    row = (record_id, b"{}" if raw is None else raw, version, change, now, writer, expires_at)
    # What is not given stays as it is: an unsynchronised write over a synchronised version too.
    statement = _PUT + (_SYNCED if synced else "") + ("" if origins is None else _ORIGINS)
    db.execute(statement, (*row, deleted, version if synced else 0, origins or ""))
    return record_of((*row, deleted))


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
        data = json.loads(raw) if not deleted else {}
    except ValueError as error:
        raise StoreError(f"{record_id}: stored data is damaged") from error
    if not isinstance(data, dict):
        raise StoreError(f"{record_id}: stored data is damaged")
    return Record(record_id, data, version, change, updated_at, writer, expires_at, bool(deleted))
