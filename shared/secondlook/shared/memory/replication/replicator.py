"""Keeps a local replica and a remote store the same.

A pass first sends again what was under way, so that nothing is in doubt; then pulls every page of
changes; then pushes every local change in batches. See `secondlook.shared.memory.replication.steps`
for what becomes of each record.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import anyio.to_thread

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import (
    CursorTooOld,
    InvalidInput,
    Overloaded,
    PermissionDenied,
    SecondlookError,
    StoreError,
    VersionConflict,
)
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Outcome, Write
from secondlook.shared.memory.replication.budget import ByteBudget
from secondlook.shared.memory.replication.replica import SqliteReplica
from secondlook.shared.memory.replication.settings import ReplicationSettings
from secondlook.shared.memory.replication.values import (
    Outgoing,
    Place,
    ReplicationStatus,
    SyncReport,
)
from secondlook.shared.memory.replication.weighing import (
    weigh_batch,
    weigh_outcomes,
    weigh_page,
)
from secondlook.shared.telemetry import get_logger

LONGEST_LISTING_S = 3600.0
"""A full listing that takes longer begins again: what was deleted meanwhile may be forgotten."""
MAX_LISTINGS = 3
"""Full listings of one prefix that one pass begins."""
SHORTEST_LOOK_S = 0.05
"""Between two looks for local writes."""
RETRY_REFUSED_S = 3600.0
"""How long what the remote store refused is held back."""

_log = get_logger(__name__)


class Replicator:
    """Runs one replica.

    Args:
        replica: the local side.
        remote: the store of record; any `ContextStore`.
        prefixes: which records are shared; ``("",)``: all.
        settings: how.
        clock: the same as the local store's.
        writer: who writes what is united.
    """

    def __init__(
        self,
        replica: SqliteReplica,
        remote: ContextStore,
        prefixes: Sequence[str],
        settings: ReplicationSettings | None = None,
        *,
        clock: Clock | None = None,
        writer: str = "replicator",
    ) -> None:
        self._replica = replica
        self._remote = remote
        self._prefixes = tuple(dict.fromkeys(prefixes))
        self._settings = settings or ReplicationSettings()
        self._clock = clock or SystemClock()
        self._writer = writer
        self._budget = ByteBudget(
            self._settings.max_bytes_per_s, self._settings.burst_bytes, self._clock
        )
        self._turn = anyio.Lock()
        self._bell = anyio.Event()
        self._totals = SyncReport()
        self._last_success: float | None = None
        self._error = ""

    def wake(self) -> None:
        """Something was written here: send it soon."""
        self._bell.set()

    async def run(self) -> None:
        """Synchronise for ever, until cancelled.

        Begins a pass after local writes (which it looks for every ``gather_s``, or is told of by
        `wake`) and every ``poll_s``. After a failure it waits, longer each time.
        """
        draw = random.Random()
        failures = 0
        fresh = True
        while True:
            try:
                if fresh:
                    await self._replica.retry_refused()
                    fresh = False
                report = await self.sync()
            except SecondlookError as error:
                failures += 1
                pause_s = self._pause_s(failures, draw)
                _log.warning("memory is not synchronised", error=str(error), retry_s=pause_s)
                await anyio.sleep(pause_s)
                continue
            failures = 0
            if not report.more:
                await self._wait()

    async def sync(self) -> SyncReport:
        """One pass, until nothing remains on either side, or local writes come as fast as they go.

        A record that cannot be synchronised is parked and counted, and stops nothing.

        Raises:
            Unavailable, DeadlineExceeded, Overloaded, StoreError: the remote store cannot be
                reached or failed, or the local one did; what was done stays done, and the next
                pass goes on from there.
        """
        async with self._turn:
            report = SyncReport()
            try:
                await self._pass(report)
            except SecondlookError as error:
                self._error = str(error)
                raise
            else:
                self._error = "; ".join(report.refused.values())
                self._last_success = self._clock.wall()
            finally:
                self._totals.add(report)
            if report.merged or report.parked or report.refused:
                _log.info(
                    "memory synchronised",
                    merged=report.merged,
                    parked=report.parked,
                    refused=report.refused,
                )
            return report

    async def status(self) -> ReplicationStatus:
        """How far both sides are apart.

        Raises:
            StoreError: the local store failed.
        """
        counts = await self._replica.counts(self._prefixes)
        ages = [self._clock.wall() - at for at in counts.pulled_at.values()]
        complete = len(ages) == len(self._prefixes)
        return ReplicationStatus(
            replica=self._replica.id,
            counts=counts,
            cursor_age_s=max(ages, default=0.0) if complete else None,
            last_success=self._last_success,
            error=self._error,
            totals=self._totals,
        )

    async def _pass(self, report: SyncReport) -> None:
        await self._replica.retry_refused(RETRY_REFUSED_S)
        while out := await self._replica.under_way(self._settings.batch):
            await self._send(out, report)
        try:
            await self._pull_all(report)
        except Overloaded:
            # The local store is full of what waits to be sent; that sent, it has room.
            await self._push(report)
            await self._pull_all(report)
        await self._push(report)
        report.waiting = (await self._replica.counts(self._prefixes)).waiting

    async def _pull_all(self, report: SyncReport) -> None:
        for prefix in self._prefixes:
            try:
                await self._pull(prefix, report)
            except (InvalidInput, PermissionDenied) as error:  # noqa: PERF203 - others go on
                report.refused[prefix] = str(error)

    async def _pull(self, prefix: str, report: SyncReport) -> None:
        place = await self._replica.place(prefix)
        begun = 0
        if place.cursor == 0 or self._is_stale(place):
            place = await self._replica.list_again(prefix)
        batch = self._settings.batch
        while True:
            while place.listed:
                place = await self._replica.sweep(prefix, place, batch, report, self._writer)
            await self._budget.ready()
            try:
                page = await self._remote.changes(prefix, place.cursor, batch)
            except CursorTooOld:
                begun += 1
                if begun > MAX_LISTINGS:
                    raise StoreError(f"changes under {prefix!r} cannot be listed") from None
                report.resyncs += 1
                place = await self._replica.list_again(prefix)
                continue
            size = await anyio.to_thread.run_sync(weigh_page, page)
            report.bytes_down += size
            self._budget.spend(size)
            if page.more and page.cursor == place.cursor:
                raise StoreError(f"changes under {prefix!r} do not go on from {page.cursor}")
            place = await self._replica.take_page(prefix, place, page, report, self._writer)
            if not (page.more or place.listed):
                return

    def _is_stale(self, place: Place) -> bool:
        return bool(place.listing) and self._clock.wall() - place.since > LONGEST_LISTING_S

    async def _push(self, report: SyncReport) -> None:
        at_first = (await self._replica.counts(self._prefixes)).waiting
        # Conflicts are sent again; beyond that, others write here as fast as we send.
        left = 4 * at_first + 4 * self._settings.batch
        while left > 0:
            batch = await self._replica.next_batch(
                self._prefixes,
                self._settings.batch,
                self._settings.request_bytes,
                report,
                self._writer,
            )
            if batch is None:
                return
            left -= max(1, len(batch))
            if batch:
                await self._send(batch, report)
        report.more = True

    async def _send(self, batch: Sequence[Outgoing], report: SyncReport) -> None:
        writes = self._writes(batch)
        size = await anyio.to_thread.run_sync(weigh_batch, writes)
        await self._budget.ready(size)
        # What lives for a while has aged in the meantime.
        writes = self._writes(batch)
        report.bytes_up += size
        self._budget.spend(size)
        outcomes = await self._apply(writes)
        size = await anyio.to_thread.run_sync(weigh_outcomes, outcomes)
        report.bytes_down += size
        self._budget.spend(size)
        answered = list(zip(batch, outcomes, strict=True))
        trouble = await self._replica.settle(answered, report, self._writer)
        if trouble is not None:
            raise trouble

    def _writes(self, batch: Sequence[Outgoing]) -> list[Write]:
        now = self._clock.wall()
        return [out.write(self._replica.id, now) for out in batch]

    async def _apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """The outcome of each write; a batch that is refused as a whole is divided."""
        try:
            outcomes = await self._remote.apply(writes)
        except (InvalidInput, PermissionDenied) as error:
            if len(writes) == 1:
                return [Outcome(error=error)]
            half = len(writes) // 2
            return [*await self._apply(writes[:half]), *await self._apply(writes[half:])]
        if len(outcomes) != len(writes):
            raise StoreError(f"{len(writes)} writes were sent, {len(outcomes)} were answered")
        for outcome in outcomes:
            conflict = outcome.error
            if outcome.record is None and conflict is None:
                raise StoreError("a write was answered with neither a record nor an error")
            if isinstance(conflict, VersionConflict) and not conflict.current and conflict.actual:
                raise StoreError(f"{conflict.record_id}: a conflict without what stands")
        return outcomes

    async def _wait(self) -> None:
        """Until something was written here, or it is time to ask for changes."""
        settings = self._settings
        with anyio.move_on_after(settings.poll_s):
            while True:
                self._bell = anyio.Event()
                if await self._replica.has_work(self._prefixes):
                    break
                with anyio.move_on_after(max(settings.gather_s, SHORTEST_LOOK_S)):
                    await self._bell.wait()
            # What follows at once goes along.
            await anyio.sleep(settings.gather_s)

    def _pause_s(self, failures: int, draw: random.Random) -> float:
        settings = self._settings
        bound_s: float = min(
            settings.backoff_max_s, settings.backoff_initial_s * 2.0 ** min(failures - 1, 30)
        )
        return draw.uniform(bound_s / 2, bound_s)
