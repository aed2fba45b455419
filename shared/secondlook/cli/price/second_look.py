"""Secondlook, driven frame by frame: the pipeline of one camera and the real way to the cloud.

The clip is played faster or slower than real time, whatever the machine gives. So that this
changes no answer, a verdict is held back until it would have come: a question about the frame at
media time ``t`` that took ``L`` seconds, as measured here or as the user says, is known to frames
later than ``t + L``. Frames in between are answered without it and revised when it comes. The
cloud is taken to have a free worker for each question, as for the baselines.

The self-test of the site takes part as in the daemon, through the same calls of the pipeline: it
may change the way of working in the middle of a clip, and what it asks for itself is paid for.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from secondlook.cli.price.asking import Asker
from secondlook.cli.price.choosers import Budget, Chooser
from secondlook.cli.price.edge_side import Purse
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.cli.price.ways import WayLog
from secondlook.edge.control import Reservation
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.errors import SecondlookError
from secondlook.shared.measure import CountingProxy
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Escalation, Verdict

_log = get_logger(__name__)


@dataclass(order=True, slots=True)
class _Due:
    """What became of a question, on its way."""

    at_s: float
    index: int
    escalation: Escalation = field(compare=False)
    verdict: Verdict | SecondlookError = field(compare=False)
    paid: Reservation | None = field(compare=False, default=None)


class SecondLook:
    """See the module.

    Args:
        pipeline: the edge's pipeline of one camera.
        proxy: the way to the cloud, counted.
        asker: asks through that proxy.
        timer: seconds, for how long things take.
        name: of the system.
        verdict_latency_s: from capture to verdict; ``None``: as measured.
        chooser: decides in the place of the pipeline's gate.
        budget: told what was really asked.
        purse: what may be spent; ``None``: everything.
    """

    def __init__(
        self,
        pipeline: CameraPipeline,
        proxy: CountingProxy,
        asker: Asker,
        timer: Callable[[], float] = time.perf_counter,
        *,
        name: str = "secondlook",
        verdict_latency_s: float | None = None,
        chooser: Chooser | None = None,
        budget: Budget | None = None,
        purse: Purse | None = None,
    ) -> None:
        self.ledger = Ledger(name)
        self._pipeline = pipeline
        self._proxy = proxy
        self._asker = asker
        self._timer = timer
        self._verdict_latency_s = verdict_latency_s
        self._chooser = chooser
        self._budget = budget
        self._purse = purse
        self._due: list[_Due] = []
        self._at: dict[int, tuple[FrameAnswer, float]] = {}

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        self._deliver(shot.media_s)
        started = self._timer()
        told: dict[str, Any] = {}
        if self._purse is not None:
            told["allowance"] = self._purse.allowance(shot.media_s)
        observation = self._pipeline.answer(shot.frame, shot.light, media_s=shot.media_s, **told)
        first_s = shot.light_s + self._timer() - started
        answer = FrameAnswer.once(observation.detections, first_s)
        self.ledger.answers.append(answer)
        self._at[shot.frame.ref.sequence] = (answer, shot.media_s)
        if self._chooser is not None:
            waiting = [region for due in self._due for region in due.escalation.regions]
            decision = self._chooser.choose(shot, observation, waiting)
            observation = replace(observation, decision=decision)
        started = self._timer()
        escalation = self._pipeline.escalation(shot.frame, observation)
        if escalation is not None:
            asked = await self._send(escalation, shot, first_s, started)
            if asked and self._budget is not None:
                self._budget.note(shot.frame.ref, observation.decision)
        if self._chooser is None:
            await self._test_site(shot, first_s)
        self.ledger.passed(self._proxy.traffic)

    async def finish(self) -> None:
        """See `System.finish`."""
        self._deliver(float("inf"))
        self.ledger.settle(self._proxy.traffic)

    async def _test_site(self, shot: Shot, first_s: float) -> None:
        """What the daemon does after the question: try out other ways, hear of alarms and changes.

        Where something else decides in the place of the gate there is nothing to choose.
        """
        pipeline, ledger, at_s = self._pipeline, self.ledger, shot.frame.ref.captured_at
        if ledger.ways is None and not shot.index:
            ledger.ways = WayLog.of(pipeline, at_s)
        if pipeline.rehearses:
            started, before = self._timer(), self._proxy.traffic.up
            again = pipeline.rehearse(shot.frame)
            if again is not None and await self._send(again, shot, first_s, started):
                assert ledger.ways is not None
                ledger.ways.second_looks += 1
                ledger.ways.second_bytes += self._proxy.traffic.up - before
        pipeline.take_trust()
        if ledger.ways is not None:
            ledger.ways.note(pipeline, at_s, shot.media_s, shot.index)

    async def _send(
        self, escalation: Escalation, shot: Shot, first_s: float, started: float
    ) -> bool:
        """Pay, ask, and hold the verdict back until it would have come.

        Returns:
            Whether it was asked: the budget may not allow it.
        """
        paid = None
        if self._purse is not None:
            paid = self._purse.pay(escalation, shot.media_s)
            if paid is None:
                self.ledger.unpaid += 1
                self._pipeline.asked_failed(escalation)
                return False
        verdict = await self._ask(escalation)
        latency_s = first_s + self._timer() - started
        if self._verdict_latency_s is not None:
            latency_s = self._verdict_latency_s
        due = _Due(shot.media_s + latency_s, shot.index, escalation, verdict, paid)
        heapq.heappush(self._due, due)
        return True

    async def _ask(self, escalation: Escalation) -> Verdict | SecondlookError:
        self.ledger.escalations += 1
        try:
            verdict = await self._asker.ask(escalation)
        except SecondlookError as error:
            self.ledger.failures += 1
            _log.warning("no verdict", request_id=escalation.request_id, error=str(error))
            return error
        self.ledger.inferences += 1
        return verdict

    def _deliver(self, media_s: float) -> None:
        """Let the pipeline know what came before ``media_s``."""
        while self._due and self._due[0].at_s < media_s:
            due = heapq.heappop(self._due)
            if due.paid is not None:
                due.paid.close(due.at_s)
            if isinstance(due.verdict, SecondlookError):
                self._pipeline.asked_failed(due.escalation, due.verdict)
                continue
            for revised in self._pipeline.apply(due.verdict):
                answer, captured_s = self._at[revised.frame.sequence]
                answer.revise(revised.detections, due.at_s - captured_s)
