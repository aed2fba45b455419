"""Sends what was kept on disk once the cloud is back: one by one, within the budget, no burst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.edge.uplink.client import Uplink
from secondlook.edge.uplink.meter import SpoolMeter
from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.edge.uplink.spool import Spool, Spooled
from secondlook.edge.uplink.waiting import Fare
from secondlook.shared.clock import Clock
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, SecondlookError
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Escalation, Purpose, Verdict

_log = get_logger(__name__)
_RETRY_S = 0.5
"""How long to wait for a cloud that is away, or for budget that is not there."""

_TRIES = 3
"""How often a question is sent that the cloud answers with an error of its own."""

_PATIENCE_S = 60.0
"""How long a question waits for its camera to start again; then its verdict would help nobody."""


@dataclass(frozen=True, slots=True)
class LateVerdict:
    """A verdict on a question that waited on disk.

    Attributes:
        verdict: what the cloud says.
        escalation: what was asked.
        note: what was put beside the question.
        age_s: how long it waited, seconds.
    """

    verdict: Verdict
    escalation: Escalation
    note: bytes
    age_s: float


class Budget(Protocol):
    """What pays. `secondlook.edge.control.Controller` is the real one."""

    def reserve(
        self,
        camera: str,
        purpose: Purpose,
        bytes_on_wire: float,
        inferences: float,
        now_s: float,
    ) -> Fare | None:
        """Take the budget of a question; ``None`` where it is not there."""
        ...

    def most_bytes_per_s(self, camera: str) -> float:
        """What it may send in the long run where others send nothing; infinite without."""
        ...


class LateSender:
    """The spool, and the task that empties it.

    Args:
        spool: the questions on disk.
        uplink: the cloud.
        budget: what pays for them.
        settings: how fast they may go.
        clock: both clocks.
        registry: where the metrics go.
    """

    def __init__(
        self,
        spool: Spool,
        uplink: Uplink,
        budget: Budget,
        settings: SpoolSettings,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._spool = spool
        self._uplink = uplink
        self._budget = budget
        self._settings = settings
        self._clock = clock
        self._arrived = anyio.Event()
        self._disk = anyio.CapacityLimiter(1)
        self._receivers: dict[str, Callable[[LateVerdict], None]] = {}
        self._meter = SpoolMeter(registry)
        self._told = dict.fromkeys(spool.counts.__slots__, 0)
        self._failed = ("", 0)
        self._alone: tuple[str, float] | None = None
        self.rejected = 0
        self.orphaned = 0
        self._count()

    @property
    def spool(self) -> Spool:
        """The questions on disk."""
        return self._spool

    def receive(self, camera: str, receiver: Callable[[LateVerdict], None] | None) -> None:
        """Say who takes a camera's late verdicts; ``None``: nobody (any more)."""
        if receiver is None:
            self._receivers.pop(camera, None)
        else:
            self._receivers[camera] = receiver

    def keeps(self, purpose: Purpose) -> bool:
        """Whether questions of that purpose are kept at all."""
        return self._spool.fresh_s(purpose) > 0

    async def open(self) -> None:
        """Find what an earlier process left.

        Raises:
            InvalidConfig: the folder cannot be used.
        """
        await anyio.to_thread.run_sync(self._spool.open, limiter=self._disk)
        self._count()

    async def keep(self, escalation: Escalation, note: bytes = b"") -> bool:
        """Write a question to the disk; ``False`` where it is not kept, which is counted."""
        kept = await anyio.to_thread.run_sync(self._spool.put, escalation, note, limiter=self._disk)
        self._count()
        if kept:
            self._arrived.set()
        return kept

    async def run(self) -> None:
        """Send what is there whenever that is possible, until cancelled."""
        while True:
            item = await anyio.to_thread.run_sync(self._spool.oldest, limiter=self._disk)
            self._count()
            if item is None:
                self._arrived = anyio.Event()
                if not len(self._spool):
                    await self._arrived.wait()
                continue
            await self._send(item)

    async def _send(self, item: Spooled) -> None:
        """Try once; the question stays on disk until it is answered or refused for good."""
        if not self._uplink.accepting:
            await anyio.sleep(_RETRY_S)
            return
        escalation = item.escalation
        if escalation.camera not in self._receivers:
            await self._wait_for_camera(item)
            return
        size = self._uplink.wire_bytes(escalation)
        fare = self._budget.reserve(
            escalation.camera, escalation.purpose, size, 1, self._clock.monotonic()
        )
        if fare is None:
            await anyio.sleep(_RETRY_S)
            return
        outcome = _Outcome()
        await self._uplink.submit(escalation, outcome, fare=fare)
        await outcome.settled.wait()
        if outcome.error is not None and self._again(item, outcome.error):
            await anyio.sleep(_RETRY_S)
            return
        await self._remove(item)
        if outcome.answer is not None:
            self._deliver(item, outcome.answer)
        else:
            self.rejected += 1
            self._meter.fate("rejected")
            _log.warning(
                "late question refused", request=escalation.request_id, error=str(outcome.error)
            )
        # One sender for all cameras: its pace is a part of the site's budget, not of one camera's.
        rate = self._settings.budget_share * self._budget.most_bytes_per_s(escalation.camera)
        await anyio.sleep(max(1 / self._settings.per_s, size / rate if rate else 0.0))

    def _again(self, item: Spooled, error: SecondlookError) -> bool:
        """Whether a question that failed is worth another try."""
        if error.retriable or isinstance(error, DeadlineExceeded):
            return True
        # A sick cloud recovers, a picture that no model can take never does: a few tries for both.
        tried, count = self._failed
        count = count + 1 if tried == item.name else 1
        self._failed = (item.name, count)
        return not isinstance(error, InvalidInput) and count < _TRIES

    async def _wait_for_camera(self, item: Spooled) -> None:
        """Its camera is not running: wait, but not for ever, for others wait behind it."""
        now_s = self._clock.monotonic()
        if self._alone is None or self._alone[0] != item.name:
            self._alone = (item.name, now_s)
        if now_s - self._alone[1] < _PATIENCE_S:
            await anyio.sleep(_RETRY_S)
            return
        await self._remove(item)
        self._orphan()

    async def _remove(self, item: Spooled) -> None:
        await anyio.to_thread.run_sync(self._spool.remove, item, limiter=self._disk)
        self._count()

    def _deliver(self, item: Spooled, verdict: Verdict) -> None:
        receiver = self._receivers.get(item.escalation.camera)
        if receiver is None:
            self._orphan()
            return
        age_s = item.age_s(self._clock.wall())
        receiver(LateVerdict(verdict, item.escalation, item.note, age_s))

    def _orphan(self) -> None:
        self.orphaned += 1
        self._meter.fate("orphaned")

    def _count(self) -> None:
        self._meter.holds(len(self._spool), self._spool.size)
        for name, before in self._told.items():
            now = getattr(self._spool.counts, name)
            self._meter.fate(name, now - before)
            self._told[name] = now


class _Outcome:
    """A `Reply` that can be waited for."""

    def __init__(self) -> None:
        self.settled = anyio.Event()
        self.answer: Verdict | None = None
        self.error: SecondlookError | None = None

    def verdict(self, verdict: Verdict) -> None:
        self.answer = verdict
        self.settled.set()

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        self.error = error
        self.settled.set()
