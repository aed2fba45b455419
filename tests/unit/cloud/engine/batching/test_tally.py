from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.batching.tally import FOLD_S, Tally
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.shared.clock import ManualClock

pytestmark = pytest.mark.anyio

TOOK = [0.0001, 0.0004, 0.003]


class Counted:
    """A tally, and what it counts on."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.statistics = Statistics("m", "1")
        self.waits: deque[float] = deque(maxlen=8)
        self.registry = CollectorRegistry()
        metrics = EngineMetrics(self.registry).of_batcher("m", "1", "fp32")
        self.tally = Tally(self.statistics, metrics, self.waits, self.clock)

    def add(self, took: Sequence[float]) -> None:
        for seconds in took:
            self.tally.add(self.clock.monotonic(), seconds)

    def sample(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"secondlook_cloud_engine_{name}", {"model": "m"})


@pytest.fixture
def counted() -> Counted:
    return Counted()


async def test_each_answer_is_counted_once(counted: Counted) -> None:
    counted.add(TOOK)
    counted.tally.fold()
    counted.tally.fold()
    statistics, ns = counted.statistics, int(sum(TOOK) * 1e9)
    assert (statistics.inferences, statistics.executions) == (3, 3)
    for spent in (statistics.success, statistics.compute_infer, statistics.batches[1]):
        assert (spent.count, spent.ns) == (3, ns)
    for none in (statistics.queue, statistics.compute_input, statistics.compute_output):
        assert (none.count, none.ns) == (3, 0)
    assert list(counted.waits) == TOOK
    for name in ("request_seconds", "infer_seconds"):
        assert counted.sample(f"{name}_count") == 3
        assert counted.sample(f"{name}_sum") == pytest.approx(sum(TOOK))
    assert (counted.sample("wait_seconds_count"), counted.sample("wait_seconds_sum")) == (3, 0)
    assert (counted.sample("batch_rows_count"), counted.sample("batch_rows_sum")) == (3, 3)


async def test_the_last_answer_is_told_by_when_it_was_given(counted: Counted) -> None:
    counted.add(TOOK)
    given_ms = int(counted.clock.wall() * 1000)
    counted.clock.advance(2.0)
    counted.tally.fold()
    assert counted.statistics.last_inference_ms == given_ms


class Loop:
    """An event loop of which only timers are asked."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((seconds, call))


def test_metrics_follow_by_themselves(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    counted.add(TOOK)
    assert [seconds for seconds, _ in loop.timers] == [FOLD_S], "one timer for all"
    loop.timers[0][1]()
    counted.add(TOOK[:1])
    assert len(loop.timers) == 2
    assert counted.sample("request_seconds_count") == 3
