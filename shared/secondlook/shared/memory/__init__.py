"""The context memory: versioned records, optimistic locking, merges, SQLite and Redis."""

from secondlook.shared.memory.editing import edit
from secondlook.shared.memory.merging import merge
from secondlook.shared.memory.opening import open_store
from secondlook.shared.memory.protocol import Compactable, ContextStore
from secondlook.shared.memory.record import Changes, Document, Origin, Outcome, Record, Write
from secondlook.shared.memory.sqlite import SqliteStore

__all__ = [
    "Changes",
    "Compactable",
    "ContextStore",
    "Document",
    "Origin",
    "Outcome",
    "Record",
    "SqliteStore",
    "Write",
    "edit",
    "merge",
    "open_store",
]
