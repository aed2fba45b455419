"""What may be forgotten: the dead by age (compaction), the clean for want of room (eviction)."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

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


class Held(NamedTuple):
    """What a store holds.

    Attributes:
        bytes: weight of all records, as the schema counts it.
        dirty: how many records are not synchronised.
    """

    bytes: int
    dirty: int


def held(db: sqlite3.Connection) -> Held:
    """What the store holds within this transaction."""
    return Held(*db.execute("SELECT bytes, dirty FROM state").fetchone())


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


def make_room(db: sqlite3.Connection, before: Held, max_bytes: int, now: float, path: str) -> None:
    """Evict what may go, until the records weigh at most ``max_bytes``.

    First the clean that are dead, longest dead first; then the clean that were changed longest
    ago. What is not synchronised never goes. What makes the store no heavier is always let pass.

    Args:
        db: given to the work.
        before: what the store held before the work.
        max_bytes: most that it may weigh.
        now: wall clock, seconds.
        path: for the error.

    Raises:
        Overloaded: nothing may go; the caller must roll back.
    """
    if held(db).bytes <= before.bytes:
        return
    while (weighs := held(db).bytes) > max_bytes:
        dead = db.execute(_DEAD.format(and_clean=f"AND {_CLEAN}"), (now, _STEP)).fetchall()
        going = dead or db.execute(_LIVING, (_STEP,)).fetchall()
        if not going:
            raise Overloaded(
                f"context memory {path} is full: it would weigh {weighs} of {max_bytes} bytes, and "
                f"{before.dirty} records wait for synchronisation",
                remedy="let it synchronise, or allow more bytes",
            )
        for change, version in going:
            db.execute(
                "UPDATE state SET evicted_version = ? WHERE evicted_version < ?", (version, version)
            )
            _forget(db, change, dead=bool(dead))
            if held(db).bytes <= max_bytes:
                break


def _forget(db: sqlite3.Connection, change: int, *, dead: bool) -> None:
    db.execute("DELETE FROM records WHERE change = ?", (change,))
    if dead:
        # Who has not seen its end cannot learn of it any more.
        db.execute("UPDATE state SET floor = ? WHERE floor < ?", (change, change))
