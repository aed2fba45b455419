"""The replica side of a local store: what it knows of the remote one, and the steps that change it.

Everything is in tables beside the records, in the same file, and each step is one transaction: a
process that is killed goes on exactly where it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import NotFound, SecondlookError
from secondlook.shared.memory.kinds import rule_for
from secondlook.shared.memory.merging import Rule
from secondlook.shared.memory.record import Changes, Document, Outcome, encode
from secondlook.shared.memory.replication import parking, schema, tables
from secondlook.shared.memory.replication.steps import Steps
from secondlook.shared.memory.replication.values import (
    Counts,
    Outgoing,
    Parked,
    Place,
    State,
    SyncReport,
)
from secondlook.shared.memory.sqlite import SqliteStore, become_replica, find, put

T = TypeVar("T")


class SqliteReplica:
    """A `SqliteStore` whose records are kept the same as those of a remote store.

    The store is used as before, by anyone. Attached with `SqliteReplica.attach`.

    Attributes:
        id: of this replica; stays with the file.
        store: the local store.
    """

    def __init__(
        self, store: SqliteStore, replica: str, clock: Clock, rules: Callable[[str], Rule]
    ) -> None:
        self.id = replica
        self.store = store
        self._clock = clock
        self._rules = rules

    @classmethod
    async def attach(
        cls,
        store: SqliteStore,
        *,
        clock: Clock | None = None,
        rules: Callable[[str], Rule] = rule_for,
    ) -> SqliteReplica:
        """Make the store a replica, or go on with one. From now on it lets nothing go that waits.

        Args:
            store: the local store; it stays the caller's, who closes it.
            clock: the same as the store's.
            rules: from a record's id to the rule by which it is merged.

        Raises:
            StoreError: the store failed.
        """

        def work(db: sqlite3.Connection) -> str:
            become_replica(db)
            return schema.create(db)

        return cls(store, await store.transact(work), clock or SystemClock(), rules)

    async def place(self, prefix: str) -> Place:
        """How far a prefix has been pulled."""
        return await self.store.read(lambda db: tables.place(db, prefix))

    async def list_again(self, prefix: str) -> Place:
        """Begin a full listing of a prefix."""
        return await self._step(lambda steps: steps.list_again(prefix))

    async def take_page(
        self, prefix: str, place: Place, page: Changes, report: SyncReport, writer: str
    ) -> Place:
        """Take over a page of changes, and move behind it."""
        return await self._step(lambda steps: steps.take_page(prefix, place, page), report, writer)

    async def sweep(
        self, prefix: str, place: Place, limit: int, report: SyncReport, writer: str
    ) -> Place:
        """Delete what a full listing has not shown, at most ``limit``; again while it is listed."""
        return await self._step(lambda steps: steps.sweep(prefix, place, limit), report, writer)

    async def under_way(self, limit: int) -> list[Outgoing]:
        """The writes that were sent, or about to be, and not answered."""
        return await self.store.read(lambda db: tables.outgoing(db, limit))

    async def next_batch(
        self, prefixes: Sequence[str], count: int, size: int, report: SyncReport, writer: str
    ) -> list[Outgoing] | None:
        """The next local changes, now under way; ``None``: there are no more.

        Empty where those looked at turned out to need no sending.

        Args:
            prefixes: only records under one of them.
            count: most of them.
            size: most bytes, before compression; the first may be larger.
            report: where to count.
            writer: who writes what has to be united first.
        """
        return await self._step(
            lambda steps: steps.next_batch(prefixes, count, size), report, writer
        )

    async def settle(
        self, answered: Sequence[tuple[Outgoing, Outcome]], report: SyncReport, writer: str
    ) -> SecondlookError | None:
        """Take in what became of a batch; returns what has to be waited for, if anything."""
        return await self._step(lambda steps: steps.settle(answered), report, writer)

    async def retry_refused(self, older_than_s: float = 0.0) -> None:
        """Try again what was refused at least so long ago: rights and limits may have changed."""
        before = self._clock.wall() - older_than_s
        await self.store.transact(lambda db: parking.release_refused(db, before))

    async def has_work(self, prefixes: Sequence[str]) -> bool:
        """Whether something could be sent."""

        def work(db: sqlite3.Connection) -> bool:
            return bool(tables.outgoing(db, 1) or tables.waiting(db, prefixes, 1))

        return await self.store.read(work)

    async def counts(self, prefixes: Sequence[str]) -> Counts:
        """What waits, and how far each prefix was pulled."""

        def work(db: sqlite3.Connection) -> Counts:
            undecided, refused = parking.parked_counts(db)
            dirty = tables.count_dirty(db, prefixes)
            return Counts(dirty, undecided, refused, tables.pulled_at(db, prefixes))

        return await self.store.read(work)

    async def parked(self, limit: int = 100) -> list[Parked]:
        """What is parked, the oldest first, with both sides."""

        def one(db: sqlite3.Connection, record_id: str) -> Parked | None:
            held = parking.held(db, record_id)
            if held is None:
                return None
            _, standing = find(db, record_id, self._clock.wall())
            seen = tables.seen(db, record_id)
            return Parked(
                record_id,
                held.undecided,
                held.reason,
                held.since,
                None if seen is None else seen.data,
                None if standing is None else standing.data,
                None if held.theirs is None else held.theirs.data,
            )

        def work(db: sqlite3.Connection) -> list[Parked]:
            found = (one(db, record_id) for record_id in parking.parked_ids(db, limit))
            return [parked for parked in found if parked is not None]

        return await self.store.read(work)

    async def decide(self, record_id: str, data: Document, *, writer: str) -> None:
        """Settle what no rule decides: this document replaces both sides.

        Raises:
            NotFound: the record is not undecided.
            InvalidInput: the document is none that a store accepts.
        """
        raw = encode(data)

        def work(db: sqlite3.Connection) -> None:
            held = parking.held(db, record_id)
            if held is None or held.theirs is None:
                raise NotFound(f"{record_id}: nothing to decide")
            latest, standing = find(db, record_id, self._clock.wall())
            ours, theirs = State.of(standing), State.of(held.theirs)
            ends = [state.expires_at if state else None for state in (ours, theirs)]
            expires_at = None if None in ends else max(end for end in ends if end is not None)
            put(db, record_id, raw, latest, self._clock.wall(), writer, expires_at=expires_at)
            tables.see(db, record_id, held.theirs, keep=True)
            parking.release(db, record_id)

        await self.store.transact(work)

    async def _step(
        self,
        step: Callable[[Steps], T],
        report: SyncReport | None = None,
        writer: str = "",
    ) -> T:
        def work(db: sqlite3.Connection) -> tuple[T, SyncReport]:
            steps = Steps(db, self._clock.wall(), writer, self._rules)
            return step(steps), steps.report

        result, part = await self.store.transact(work)
        if report is not None:
            report.add(part)
        return result
