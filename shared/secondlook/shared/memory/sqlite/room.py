"""What may be forgotten: the dead by age (compaction), the clean for want of room (eviction)."""

from __future__ import annotations

import sqlite3

from secondlook.shared.errors import Overloaded
from secondlook.shared.memory.sqlite.schema import ENDS_AT

_CLEAN = "synced_version = version"
_HAS_END = "(deleted OR expires_at IS NOT NULL)"
_DEAD = (
    f"SELECT change, version FROM records WHERE {_HAS_END} AND {ENDS_AT} <= ? "  # noqa: S608 - no value in it
    f"{{and_clean}} ORDER BY {ENDS_AT} LIMIT ?"
)
_LIVING = f"SELECT change, version FROM records WHERE {_CLEAN} ORDER BY change LIMIT ?"  # noqa: S608 - no value in it
_STEP = 16
"""Records looked up at once when room is made: usually one is enough."""


def weight(db: sqlite3.Connection) -> int:
    """Bytes of all records, as the schema counts them."""
    return int(db.execute("SELECT bytes FROM state").fetchone()[0])


def forget_dead(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Forget records that died at or before a wall clock time; see `Compactable.compact`.

    In a replica, one that is not synchronised stays: its end has yet to reach the other store.
    """
    (replica,) = db.execute("SELECT replica FROM state").fetchone()
    sql = _DEAD.format(and_clean=f"AND {_CLEAN}" if replica else "")
    dead = db.execute(sql, (before, limit)).fetchall()
    for change, _ in dead:
        _forget(db, change, dead=True)
    return len(dead)


def make_room(
    db: sqlite3.Connection, weighed_before: int, max_bytes: int, now: float, path: str
) -> None:
    """Evict what may go, until the records weigh at most ``max_bytes``.

    First the clean that are dead, longest dead first; then the clean that were changed longest
    ago. What is not synchronised never goes. What makes the store no heavier is always let pass.

    Raises:
        Overloaded: nothing may go; the caller must roll back.
    """
    if (weighs := weight(db)) <= max(max_bytes, weighed_before):
        return
    while (weighs := weight(db)) > max_bytes:
        dead = db.execute(_DEAD.format(and_clean=f"AND {_CLEAN}"), (now, _STEP)).fetchall()
        going = dead or db.execute(_LIVING, (_STEP,)).fetchall()
        if not going:
            (dirty,) = db.execute("SELECT dirty FROM state").fetchone()
            raise Overloaded(
                f"context memory {path} is full: {weighs} of {max_bytes} bytes, and all of its "
                f"{dirty} records wait for synchronisation",
                remedy="let it synchronise, or allow more bytes",
            )
        for change, version in going:
            db.execute(
                "UPDATE state SET evicted_version = ? WHERE evicted_version < ?", (version, version)
            )
            _forget(db, change, dead=bool(dead))
            if weight(db) <= max_bytes:
                break


def _forget(db: sqlite3.Connection, change: int, *, dead: bool) -> None:
    db.execute("DELETE FROM records WHERE change = ?", (change,))
    if dead:
        # Who has not seen its end cannot learn of it any more.
        db.execute("UPDATE state SET floor = ? WHERE floor < ?", (change, change))
