"""Carries answers from the threads of a model to the event loop, and counts them there."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from secondlook.cloud.engine.asking import Ran
from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.cloud.engine.batching.rates import effort_s
from secondlook.cloud.engine.batching.runner import Report, sayable
from secondlook.cloud.engine.batching.tally import Tally
from secondlook.cloud.engine.metrics import BatcherMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.shared.clock import Clock
from secondlook.shared.errors import DeadlineExceeded, Overloaded

KEEP_WAITS = 1024
"""Times to the answer that are kept for whoever looks at them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What every answer says about what gave it: see `Ran`."""

    model: str
    version: str
    variant: str


class Delivery:
    """One batcher's. `report` may be called by any thread, all else on the event loop.

    Attributes:
        loop: where the futures live; set before the first report.
    """

    def __init__(
        self,
        statement: Statement,
        statistics: Statistics,
        metrics: BatcherMetrics,
        dispatch: Dispatch,
        clock: Clock,
    ) -> None:
        self._statement = statement
        self._statistics = statistics
        self._metrics = metrics
        self._dispatch = dispatch
        self._clock = clock
        # Reports on their way; whoever adds the first one rings.
        self._reports: list[Report] = []
        self._lock = threading.Lock()
        self._waits: deque[float] = deque(maxlen=KEEP_WAITS)
        self._tally = Tally(statistics, metrics, self._waits, clock)
        self.loop: asyncio.AbstractEventLoop | None = None

    def report(self, report: Report) -> None:
        """Hand a report to the event loop."""
        assert self.loop is not None
        with self._lock:
            self._reports.append(report)
            first = len(self._reports) == 1
        if first:
            try:
                self.loop.call_soon_threadsafe(self.collect)
            except RuntimeError:
                # The loop is closed: nobody is left to hear.
                self._dispatch.abort()

    def collect(self) -> None:
        """Give the answers that have come to those who wait for them."""
        with self._lock:
            reports, self._reports = self._reports, []
        if not reports:
            return
        now_s = self._clock.monotonic()
        answered = False
        for report in reports:
            if report.infer_s:
                self._count(report)
            for request, answer in zip(report.requests, report.answers, strict=True):
                request.payload = None
                # A caller that has gone has cancelled its future; its neighbours get theirs.
                if request.future.done():
                    continue
                if isinstance(answer, BaseException):
                    if isinstance(answer, DeadlineExceeded):
                        self._dispatch.late(request)
                        self._metrics.dropped("expired")
                    self.fail(request, answer)
                    continue
                answered = True
                self._answer(request, answer, report, now_s)
        if answered:
            self._statistics.last_inference_ms = int(self._clock.wall() * 1000)

    def take_waits(self) -> list[float]:
        """Seconds to the answer of the last requests since the last call, at most `KEEP_WAITS`."""
        self._tally.fold()
        waits = list(self._waits)
        self._waits.clear()
        return waits

    def settle(self) -> None:
        """Count what was answered at once; from then on the statistics are right."""
        self._tally.fold()

    def made_room(self, request: Pending) -> None:
        """Answer a request that was dropped for another one."""
        self._metrics.dropped("overloaded")
        relief_s = self._dispatch.admission.relief_s(self._dispatch.waiting)
        self.fail(request, Overloaded("dropped for another request", retry_after_s=relief_s))

    def fail(self, request: Pending, error: BaseException) -> None:
        """Answer a request with an error."""
        if not request.future.done():
            self._statistics.fail.add(self._clock.monotonic() - request.queued_s)
            request.future.set_exception(sayable(error))

    def answered_at_once(self, begun_s: float, computed_s: float, reason: str) -> Ran:
        """One row was answered here and now, without a queue, by so much processor time."""
        now_s = self._clock.monotonic()
        took_s = now_s - begun_s
        self._dispatch.quickness.took(1, effort_s(computed_s, took_s))
        self._tally.add(now_s, took_s)
        statement = self._statement
        return Ran(statement.model, statement.version, statement.variant, 0.0, took_s, 1, reason)

    def failed_at_once(self, begun_s: float) -> None:
        """It failed instead."""
        self._statistics.fail.add(self._clock.monotonic() - begun_s)

    def _answer(self, request: Pending, answer: Any, report: Report, now_s: float) -> None:
        queue_s, took_s = report.started_s - request.queued_s, now_s - request.queued_s
        statistics, statement = self._statistics, self._statement
        statistics.success.add(took_s)
        statistics.queue.add(queue_s)
        statistics.inferences += request.rows
        self._metrics.answered(queue_s, took_s)
        self._waits.append(took_s)
        ran = Ran(
            statement.model,
            statement.version,
            statement.variant,
            queue_s,
            report.infer_s,
            report.rows,
            request.reason,
        )
        request.future.set_result((answer, ran))

    def _count(self, report: Report) -> None:
        """A call of the network, by a thread."""
        times, rows = len(report.requests), report.rows
        self._dispatch.quickness.took(rows, effort_s(report.computed_s, report.infer_s))
        statistics = self._statistics
        statistics.executions += 1
        statistics.compute_input.add(report.input_s, times)
        statistics.compute_infer.add(report.infer_s, times)
        statistics.compute_output.add(report.output_s, times)
        statistics.batches[rows].add(report.infer_s)
        self._metrics.ran(rows, report.infer_s)
        if report.retried:
            self._metrics.retried(times)
