"""The steps of a synchronisation. Each runs within one transaction of the replica's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    MergeConflict,
    NotFound,
    SecondlookError,
    StoreError,
    VersionConflict,
)
from secondlook.shared.memory.merging import Rule
from secondlook.shared.memory.record import Changes, Outcome, Record, encode
from secondlook.shared.memory.replication import parking, tables
from secondlook.shared.memory.replication.reconcile import reconcile
from secondlook.shared.memory.replication.values import Outgoing, Place, State, SyncReport
from secondlook.shared.memory.sqlite import find, mark_synced, put
from secondlook.shared.telemetry import get_logger

WRITE_OVERHEAD_BYTES = 192
"""What a write weighs on the wire beside its document and twice its id, at most."""

_log = get_logger(__name__)


def passing(error: SecondlookError) -> bool:
    """Whether the same thing may work later."""
    return error.retriable or isinstance(error, DeadlineExceeded)


@dataclass(slots=True)
class Steps:
    """One transaction's work.

    Attributes:
        db: given to the work.
        now: wall clock, seconds.
        writer: who writes what is united.
        rule_for: from a record's id to the rule by which it is merged.
        report: what was done.
    """

    db: sqlite3.Connection
    now: float
    writer: str
    rule_for: Callable[[str], Rule]
    report: SyncReport = field(default_factory=SyncReport)

    def take_page(self, prefix: str, place: Place, page: Changes) -> Place:
        """Take over a page of changes, and move the cursor behind it."""
        for record in page.records:
            if record.id.startswith(prefix):
                self._pull(record, listing=bool(place.listing))
        listed = bool(place.listing) and not page.more
        moved = Place(page.cursor, place.listing, listed, place.since)
        complete = not (page.more or place.listing)
        tables.move(self.db, prefix, moved, self.now if complete else None)
        self.report.pulled += len(page.records)
        return moved

    def list_again(self, prefix: str) -> Place:
        """Begin a full listing."""
        place = Place(0, tables.next_listing(self.db), since=self.now)
        tables.move(self.db, prefix, place)
        return place

    def sweep(self, prefix: str, place: Place, limit: int) -> Place:
        """Delete here what a full listing has not shown; what was changed here stays."""
        gone = tables.unlisted(self.db, prefix, place.listing, limit)
        for record_id in gone:
            if tables.is_outgoing(self.db, record_id):
                # Whatever stands there, the answer will tell.
                tables.list_seen(self.db, record_id)
            else:
                self.receive(record_id, None)
        if len(gone) == limit:
            return place
        done = Place(place.cursor)
        tables.move(self.db, prefix, done, self.now)
        return done

    def next_batch(self, prefixes: Sequence[str], count: int, size: int) -> list[Outgoing] | None:
        """The next local changes, in their order, now under way; ``None``: there are no more.

        Empty where those looked at turned out to need no sending.
        """
        rows = tables.waiting(self.db, prefixes, count)
        if not rows:
            return None
        batch: list[Outgoing] = []
        room = size
        for record_id, version in rows:
            try:
                out = self._prepare(record_id)
            except StoreError as error:  # the row is damaged
                self._park(record_id, str(error), version)
                continue
            if out is None:
                continue
            room -= WRITE_OVERHEAD_BYTES + 2 * len(out.id.encode())
            room -= 0 if out.data is None else len(encode(out.data))
            if batch and room < 0:
                break
            tables.begin(self.db, out)
            batch.append(out)
        return batch

    def settle(self, answered: Sequence[tuple[Outgoing, Outcome]]) -> SecondlookError | None:
        """Take in what became of a batch; returns what has to be waited for, if anything."""
        trouble = None
        for out, outcome in answered:
            if outcome.error is not None and passing(outcome.error):
                trouble = trouble or outcome.error
            elif tables.end(self.db, out):
                self._settle(out, outcome)
        return trouble

    def receive(self, record_id: str, theirs: Record | None) -> None:
        """Unite what stands here with what stands in the remote store.

        Args:
            record_id: the id.
            theirs: what stands there, or its tombstone; ``None``: nothing does.
        """
        latest, standing = find(self.db, record_id, self.now)
        ours, other = State.of(standing), State.of(theirs)
        try:
            decision = reconcile(
                self._base(record_id),
                ours,
                other,
                self.rule_for(record_id),
                dirty=self._dirty(record_id),
            )
        except MergeConflict as conflict:
            self._park(record_id, str(conflict), latest, theirs)
            return
        parking.release(self.db, record_id)
        if decision.write:
            by = theirs if decision.clean and other is not None else None
            put(
                self.db,
                record_id,
                None if decision.state is None else encode(decision.state.data),
                latest,
                self.now if by is None else by.updated_at,
                self.writer if by is None else by.writer,
                expires_at=None if decision.state is None else decision.state.expires_at,
                synced=decision.clean,
            )
        elif decision.clean:
            mark_synced(self.db, record_id, latest)
        tables.see(self.db, record_id, theirs, keep=not decision.clean)
        if decision.clean:
            self.report.taken += decision.write
        elif decision.write:
            self.report.merged += 1

    def _pull(self, record: Record, *, listing: bool) -> None:
        if tables.is_outgoing(self.db, record.id):
            # Its answer brings what stands.
            return
        seen = tables.seen(self.db, record.id)
        held = parking.held(self.db, record.id)
        known = 0 if seen is None else seen.change
        if held is not None and held.theirs is not None:
            known = max(known, held.theirs.change)
        if record.change > known or (listing and seen is None):
            try:
                self.receive(record.id, record)
            except (InvalidInput, StoreError) as error:  # one of the two documents is none
                self._park(record.id, str(error), self._version(record.id))
        if listing:
            # Also where it was parked: it stands there, whatever becomes of it here.
            tables.list_seen(self.db, record.id)

    def _prepare(self, record_id: str) -> Outgoing | None:
        """The write that brings the remote store what stands here; ``None``: none is needed."""
        held = parking.held(self.db, record_id)
        if held is not None and held.theirs is not None:
            self.receive(record_id, held.theirs)
            if not self._dirty(record_id) or parking.held(self.db, record_id) is not None:
                return None
        latest, standing = find(self.db, record_id, self.now)
        seen = tables.seen(self.db, record_id)
        if standing is None and seen is None:
            self.receive(record_id, None)
            return None
        row = self.db.execute("SELECT writer FROM records WHERE id = ?", (record_id,)).fetchone()
        state = State.of(standing)
        return Outgoing(
            record_id,
            tables.next_token(self.db, self.now),
            None if state is None else state.data,
            None if state is None else state.expires_at,
            0 if seen is None else seen.version,
            latest,
            row[0],
        )

    def _settle(self, out: Outgoing, outcome: Outcome) -> None:
        error = outcome.error
        if isinstance(error, VersionConflict):
            self.report.conflicts += 1
            self.receive(out.id, error.current)
        elif isinstance(error, NotFound):
            self.receive(out.id, None)
        elif error is not None:
            self._park(out.id, str(error), out.local_version)
        elif outcome.record is not None:
            self.report.pushed += 1
            self.report.repeats += outcome.repeat
            self._pushed(out, outcome.record)

    def _pushed(self, out: Outgoing, stands: Record) -> None:
        """The remote store has what was sent; meanwhile both sides may have gone on."""
        unchanged = self._version(out.id) == out.local_version
        if unchanged:
            mark_synced(self.db, out.id, out.local_version)
        sent = Record(
            out.id,
            out.data or {},
            stands.version,
            stands.change,
            stands.updated_at,
            out.writer,
            deleted=out.data is None,
        )
        tables.see(self.db, out.id, sent, keep=not unchanged)
        theirs, pushed = State.of(stands), State.of(sent)
        if (theirs is None) != (pushed is None) or (
            theirs is not None and pushed is not None and encode(theirs.data) != encode(pushed.data)
        ):
            self.receive(out.id, stands)
        else:
            parking.release(self.db, out.id)

    def _park(
        self, record_id: str, reason: str, local_version: int, theirs: Record | None = None
    ) -> None:
        _log.warning("record is parked", record=record_id, reason=reason)
        parking.park(self.db, record_id, reason, self.now, local_version, theirs)
        self.report.parked += 1

    def _base(self, record_id: str) -> State | None:
        seen = tables.seen(self.db, record_id)
        return None if seen is None or seen.data is None else State(seen.data)

    def _dirty(self, record_id: str) -> bool:
        row = self.db.execute(
            "SELECT synced_version <> version FROM records WHERE id = ?", (record_id,)
        ).fetchone()
        return row is not None and bool(row[0])

    def _version(self, record_id: str) -> int:
        row = self.db.execute("SELECT version FROM records WHERE id = ?", (record_id,)).fetchone()
        return 0 if row is None else int(row[0])
