"""The context memory in a SQLite file: the embedded default, and every edge's local replica.

`SqliteStore` is a `ContextStore`. Work that must be one with other tables of the same file goes
through `SqliteStore.transact` and `SqliteStore.read`, with the functions of this package: `find`,
`put`, `mark_synced`, `become_replica`.
"""

from secondlook.shared.memory.sqlite.rows import find, mark_synced, put
from secondlook.shared.memory.sqlite.schema import become_replica
from secondlook.shared.memory.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "become_replica", "find", "mark_synced", "put"]
