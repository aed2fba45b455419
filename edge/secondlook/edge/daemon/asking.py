"""How the questions of one camera go: now, to the disk, or not at all. Each is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

import anyio

from secondlook.edge.control import Allowance
from secondlook.edge.daemon.inbox import Inbox
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.daemon.surroundings import Surroundings
from secondlook.edge.decisions import WayRecord
from secondlook.edge.uplink.channel import UplinkState
from secondlook.shared.errors import DeadlineExceeded, SecondlookError, Unavailable
from secondlook.shared.values import Escalation, Purpose

LEAST_BYTES = 256.0
"""No question takes less on the wire: with less left, no picture is encoded."""


class Way(Enum):
    """Where a question goes."""

    NOW = "now"
    """To the cloud."""

    DISK = "disk"
    """To the spool: the cloud is away, or the budget is spent."""

    NOWHERE = "nowhere"
    """It is not asked; what was unsure stays so."""


class Asking:
    """Takes questions to the uplink or to the spool.

    Args:
        camera: whose.
        around: what it shares with other cameras.
        status: counts for people.
        inbox: gets the replies.
        alone: packs a question again so that it means something by itself; ``None``: it cannot.
        block: whether the camera waits where questions come faster than they can be sent.
    """

    def __init__(
        self,
        camera: str,
        around: Surroundings,
        status: CameraStatus,
        inbox: Inbox,
        alone: Callable[[Escalation], Awaitable[Escalation | None]],
        *,
        block: bool,
    ) -> None:
        self._camera = camera
        self._around = around
        self._status = status
        self._inbox = inbox
        self._alone = alone
        self._block = block
        self._open: dict[str, Escalation] = {}

    def allowance(self) -> Allowance:
        """What may be spent now."""
        around = self._around
        allowance = around.controller.allowance(self._camera, around.clock.monotonic())
        self._status.problem_of_budget = str(allowance.slo or "")
        return allowance

    def away(self) -> str:
        """Why the cloud cannot be asked now; empty where it can."""
        uplink = self._around.uplink
        if uplink.accepting:
            return ""
        if uplink.state is UplinkState.OFF:
            return "the uplink is off"
        down = uplink.state is UplinkState.DOWN
        return "the cloud cannot be reached" if down else "the cloud fails: the breaker is open"

    def way(self, purpose: Purpose, allowance: Allowance) -> Way:
        """Where a question of that purpose would go now."""
        audit = purpose is Purpose.AUDIT
        if self._around.uplink.accepting:
            if allowance.affords(LEAST_BYTES, audit=audit):
                return Way.NOW
            self._unpaid(purpose)
        else:
            self._status.offline += 1
            self._around.meter.offline.labels(self._camera).inc()
        return Way.DISK if self._keeps(purpose) else Way.NOWHERE

    async def ask(self, escalation: Escalation, way: Way, *, late: bool) -> Way:
        """Send a question, or keep it.

        Args:
            escalation: the question.
            way: what `way` said.
            late: whether its verdict is expected too late for the answer.

        Returns:
            Where it went.
        """
        around = self._around
        if way is Way.NOW:
            wire_bytes = around.uplink.wire_bytes(escalation)
            now_s = around.clock.monotonic()
            fare = around.controller.reserve(self._camera, escalation.purpose, wire_bytes, 1, now_s)
            if fare is not None:
                self._log(escalation, "sent", wire_bytes)
                self._count(escalation, late)
                self._inbox.asked()
                self._open[escalation.request_id] = escalation
                await around.uplink.submit(escalation, self._inbox, block=self._block, fare=fare)
                return Way.NOW
            self._unpaid(escalation.purpose)
        return Way.DISK if await self._keep(escalation) else Way.NOWHERE

    def settled(self, request_id: str) -> None:
        """A question has its reply."""
        self._open.pop(request_id, None)

    async def leave(self) -> int:
        """Nobody will take replies any more: keep what is still under way.

        Returns:
            How many questions are neither answered nor kept.
        """
        left = list(self._open.values())
        self._open.clear()
        return len(left) - sum([await self._keep(escalation) for escalation in left])

    async def keep_failed(self, escalation: Escalation, error: SecondlookError) -> bool:
        """Keep a question that the network or the cloud failed; ``False`` where it is lost."""
        # A canvas that the cloud has lost is retried with a key frame, not with the same update.
        if not (error.retriable or isinstance(error, (DeadlineExceeded, Unavailable))):
            return False
        return await self._keep(escalation)

    def _keeps(self, purpose: Purpose) -> bool:
        return self._around.late is not None and self._around.late.keeps(purpose)

    async def _keep(self, escalation: Escalation) -> bool:
        late = self._around.late
        if late is None or not late.keeps(escalation.purpose):
            return False
        with anyio.CancelScope(shield=True):
            # On disk it waits for a cloud that may know nothing of this canvas.
            alone = await self._alone(escalation) if escalation.canvas is not None else escalation
            if alone is None:
                return False
            kept = await late.keep(alone)
        self._status.spooled += kept
        self._around.meter.spooled.labels(self._camera).inc(kept)
        if kept:
            self._log(escalation, "disk")
        return kept

    def _log(self, escalation: Escalation, way: str, wire_bytes: int = 0) -> None:
        """How a question went on, for the decision log."""
        if self._around.decisions is not None:
            said = WayRecord(escalation.sequence, escalation.request_id, way, wire_bytes=wire_bytes)
            self._around.decisions.put(self._camera, [said])

    def _unpaid(self, purpose: Purpose) -> None:
        self._status.unpaid += 1
        self._around.meter.unpaid.labels(self._camera, purpose.value).inc()

    def _count(self, escalation: Escalation, late: bool) -> None:
        status, size = self._status, len(escalation.image)
        status.escalations += 1
        status.audits += escalation.purpose is Purpose.AUDIT
        status.sent_bytes += size
        status.late += late
        self._around.meter.escalated(self._camera, escalation.purpose, size)
        self._around.meter.late.labels(self._camera).inc(late)
