"""The context memory: versioned records, optimistic locking, SQLite and Redis."""

from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Changes, Document, Record

__all__ = ["Changes", "ContextStore", "Document", "Record"]
