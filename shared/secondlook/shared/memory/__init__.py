"""The context memory: versioned records, optimistic locking, SQLite and Redis."""

from secondlook.shared.memory.editing import edit
from secondlook.shared.memory.opening import open_store
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Changes, Document, Record
from secondlook.shared.memory.sqlite import SqliteStore

__all__ = ["Changes", "ContextStore", "Document", "Record", "SqliteStore", "edit", "open_store"]
