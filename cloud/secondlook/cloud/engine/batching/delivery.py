"""Carries answers from the threads of a model to the event loop, and counts them there."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

from secondlook.cloud.engine.asking import Ran
from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.cloud.engine.batching.runner import Report, sayable
from secondlook.cloud.engine.metrics import BatcherMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.shared.clock import Clock
from secondlook.shared.errors import DeadlineExceeded


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
        in_time = late = 0
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
                        late += 1
                        self._metrics.dropped("expired")
                    self.fail(request, answer)
                    continue
                in_time += 1
                self._answer(request, answer, report, now_s)
        if in_time:
            self._statistics.last_inference_ms = int(self._clock.wall() * 1000)
        if in_time or late:
            self._dispatch.answered(in_time, late)

    def fail(self, request: Pending, error: BaseException) -> None:
        """Answer a request with an error."""
        if not request.future.done():
            self._statistics.fail.add(self._clock.monotonic() - request.queued_s)
            request.future.set_exception(sayable(error))

    def _answer(self, request: Pending, answer: Any, report: Report, now_s: float) -> None:
        statistics, statement = self._statistics, self._statement
        queue_s, took_s = report.started_s - request.queued_s, now_s - request.queued_s
        statistics.success.add(took_s)
        statistics.queue.add(queue_s)
        statistics.inferences += request.rows
        self._metrics.answered(queue_s, took_s)
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
        """A call of the network."""
        statistics, times = self._statistics, len(report.requests)
        statistics.executions += 1
        statistics.compute_input.add(report.input_s, times)
        statistics.compute_infer.add(report.infer_s, times)
        statistics.compute_output.add(report.output_s, times)
        statistics.batches[report.rows].add(report.infer_s)
        self._metrics.ran(report.rows, report.infer_s)
        if report.retried:
            self._metrics.retried(times)
