"""Counts what was answered on the event loop: an addition each, the rest for many together.

Six sums and four histograms cost as much as a small network takes. What they need of each answer is
how long it took.
"""

from __future__ import annotations

import asyncio
from collections import deque

from secondlook.cloud.engine.metrics import BatcherMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.shared.clock import Clock

FOLD_S = 0.05
"""So late may metrics show an answer."""


class Tally:
    """One batcher's. On the event loop only.

    Args:
        statistics: what is counted for callers; right after `fold`.
        metrics: what is counted for Prometheus.
        waits: the times to the answer.
        clock: the clock of the answers.
    """

    def __init__(
        self, statistics: Statistics, metrics: BatcherMetrics, waits: deque[float], clock: Clock
    ) -> None:
        self._statistics = statistics
        self._metrics = metrics
        self._waits = waits
        self._clock = clock
        self._took: list[float] = []
        self._last_s = 0.0

    def add(self, now_s: float, took_s: float) -> None:
        """One row was answered now, without a queue, in a call that took so long."""
        if not self._took:
            asyncio.get_running_loop().call_later(FOLD_S, self.fold)
        self._took.append(took_s)
        self._last_s = now_s

    def fold(self) -> None:
        """Count what was added. Safe to repeat."""
        if not self._took:
            return
        took, self._took = self._took, []
        statistics, times = self._statistics, len(took)
        ns = int(sum(took) * 1e9)
        for spent in (statistics.success, statistics.compute_infer, statistics.batches[1]):
            spent.count += times
            spent.ns += ns
        for none in (statistics.queue, statistics.compute_input, statistics.compute_output):
            none.count += times
        statistics.inferences += times
        statistics.executions += times
        ago_s = self._clock.monotonic() - self._last_s
        statistics.last_inference_ms = int((self._clock.wall() - ago_s) * 1000)
        self._waits.extend(took)
        self._metrics.answered_at_once(took)
