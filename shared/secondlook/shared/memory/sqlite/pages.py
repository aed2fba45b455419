"""What changed after a cursor, at the cost of what changed.

The table is ordered by change, so a page is read from its place on. Under a prefix there are two
ways: reading on by change and skipping the others, or listing all of the prefix in the index of
ids, which holds changes too. The first costs what changed, the second what exists of the prefix;
each is bounded, and the page says ``more`` where it ends early.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from secondlook.shared.errors import CursorTooOld
from secondlook.shared.memory.record import Changes
from secondlook.shared.memory.rules import LISTING, as_seen, read_cursor
from secondlook.shared.memory.sqlite.rows import COLUMNS, record_of

SCAN = 4096
"""Most changes of others that one page skips, and most ids of a prefix that one page lists."""
_END = "\U0010ffff"
"""Sorts after all that an id can hold: it is not printable."""

_ALL = f"SELECT {COLUMNS} FROM records WHERE change > ? ORDER BY change LIMIT ?"  # noqa: S608 - no value in it
_BY_CHANGE = (
    f"SELECT {COLUMNS} FROM records WHERE change > ? AND change <= ? "  # noqa: S608 - no value in it
    "AND id >= ? AND id < ? ORDER BY change LIMIT ?"
)
_ONE = f"SELECT {COLUMNS} FROM records WHERE change = ?"  # noqa: S608 - no value in it
_PAST_SCAN = "SELECT change FROM records WHERE change > ? ORDER BY change LIMIT 1 OFFSET ?"
_LISTED = "SELECT change FROM records WHERE id >= ? AND id < ? LIMIT ?"


def page(db: sqlite3.Connection, prefix: str, since: int, limit: int, now: float) -> Changes:
    """See `ContextStore.changes`; the arguments are checked. ``db`` is in a transaction."""
    newest, floor = db.execute("SELECT change, floor FROM state").fetchone()
    since, listing = read_cursor(since)
    if not listing and since < floor:
        raise CursorTooOld(since, floor)
    end = newest
    if prefix:
        rows, end = _under(db, prefix, since, newest, limit + 1)
    else:
        rows = db.execute(_ALL, (since, limit + 1)).fetchall()
    records = tuple(as_seen(record_of(row), now) for row in rows[:limit])
    more = len(rows) > limit or end < newest
    cursor = records[-1].change if len(rows) > limit else max(since, end)
    return Changes(records, cursor + LISTING if listing and more else cursor, more)


def _under(
    db: sqlite3.Connection, prefix: str, since: int, newest: int, most: int
) -> tuple[list[tuple[Any, ...]], int]:
    """The first rows under a prefix after a cursor, and up to which change that is all."""
    bounds = (prefix, prefix + _END)
    if newest - since > SCAN:
        listed = db.execute(_LISTED, (*bounds, SCAN + 1)).fetchall()
        if len(listed) <= SCAN:
            changes = sorted(change for (change,) in listed if change > since)[:most]
            return [db.execute(_ONE, (change,)).fetchone() for change in changes], newest
    past = db.execute(_PAST_SCAN, (since, SCAN)).fetchone()
    end = newest if past is None else past[0] - 1
    return db.execute(_BY_CHANGE, (since, end, *bounds, most)).fetchall(), end
