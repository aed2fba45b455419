"""SQLite's errors in our words."""

from __future__ import annotations

import sqlite3

from secondlook.shared.errors import StoreError

# Python 3.10 tells no error codes: SQLite's texts, which have not changed in fifteen years.
_REMEDIES = {
    "not a database": "it is not a SQLite file: move it away or restore it",
    "malformed": "the file is damaged: restore it, or move it away",
    "disk is full": "free space on the disk; what was acknowledged is intact",
    "disk I/O error": "check the disk, its space and quotas; what was acknowledged is intact",
    "readonly": "the file and its folder must be writable",
    "unable to open": "the folder must exist and be writable",
    "locked": "another process holds the file; try again",
}


def mapped(error: sqlite3.Error, path: str) -> StoreError:
    """The same failure, with what the reader can do."""
    text = str(error)
    remedy = next((told for said, told in _REMEDIES.items() if said in text), "")
    return StoreError(f"context memory {path}: {text}", remedy=remedy)
