"""An edge's local store with its replicator, in a test."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory import ContextStore, Record, SqliteStore, edit
from secondlook.shared.memory.editing import Mutate
from secondlook.shared.memory.kinds import KINDS, kind_of, rule_for
from secondlook.shared.memory.merging import Counter, Fields, Latest, Rule, UnionSet
from secondlook.shared.memory.replication import (
    ReplicationSettings,
    Replicator,
    SqliteReplica,
    SyncReport,
)

RULE = Fields({"n": Counter(), "s": UnionSet(), "r": Latest("at")})
"""The rule of the records in these tests: a counter, a set, and a register. All else must agree."""

_NO_GAP = """
CREATE TRIGGER IF NOT EXISTS no_gap BEFORE UPDATE OF version ON records
WHEN new.version <> old.version + 1 BEGIN SELECT RAISE(ABORT, 'a gap in the versions'); END
"""


def rule_of(record_id: str) -> Rule:
    """The rule above; of known kinds their own."""
    return RULE if kind_of(record_id) not in KINDS else rule_for(record_id)


class Edge:
    """A local store, its replica and its replicator; `restart` closes and opens all of it."""

    def __init__(
        self,
        name: str,
        path: Path | str,
        remote: ContextStore,
        settings: ReplicationSettings | None = None,
        clock: Clock | None = None,
        prefixes: Sequence[str] = ("",),
        max_bytes: int | None = None,
    ) -> None:
        self.name = name
        self._path = path
        self._remote = remote
        self._settings = settings or ReplicationSettings()
        self._clock = clock or SystemClock()
        self._prefixes = prefixes
        self._max_bytes = max_bytes
        self.store: SqliteStore
        self.replica: SqliteReplica
        self.replicator: Replicator

    async def start(self) -> Edge:
        self.store = await SqliteStore.open(
            self._path, clock=self._clock, max_bytes=self._max_bytes
        )
        await guard_versions(self.store)
        self.replica = await SqliteReplica.attach(self.store, clock=self._clock, rules=rule_of)
        self.replicator = Replicator(
            self.replica,
            self._remote,
            self._prefixes,
            self._settings,
            clock=self._clock,
            writer=self.name,
        )
        return self

    async def restart(self) -> None:
        await self.store.close()
        await self.start()

    async def sync(self) -> SyncReport:
        return await self.replicator.sync()

    async def try_sync(self) -> SyncReport | None:
        """As `sync`; ``None`` where the network was in the way."""
        try:
            return await self.sync()
        except SecondlookError:
            return None

    async def change(self, record_id: str, **fields: Any) -> Record:
        """Add to the counter ``n``, the set ``s``; set all other fields."""

        def mutate(data: dict[str, Any]) -> dict[str, Any]:
            for name, value in fields.items():
                if name == "n":
                    data["n"] = data.get("n", 0) + value
                elif name == "s":
                    data["s"] = sorted({*data.get("s", ()), value})
                else:
                    data[name] = value
            return data

        return await self.edit(record_id, mutate)

    async def edit(self, record_id: str, mutate: Mutate) -> Record:
        """As `secondlook.shared.memory.edit`."""
        return await edit(
            self.store,
            record_id,
            mutate,
            writer=self.name,
            rule=rule_of(record_id),
            clock=self._clock,
        )


async def guard_versions(store: SqliteStore) -> None:
    """From now on a write that does not raise a version by exactly one fails."""

    def work(db: sqlite3.Connection) -> None:
        db.execute(_NO_GAP)

    await store.transact(work)


async def standing(store: ContextStore, prefix: str = "") -> dict[str, Any]:
    """All documents that stand, by id."""
    found: dict[str, Any] = {}
    cursor, more = 0, True
    while more:
        page = await store.changes(prefix, cursor, 1000)
        for record in page.records:
            found.pop(record.id, None)
            if not record.deleted:
                found[record.id] = dict(record.data)
        cursor, more = page.cursor, page.more
    return found
