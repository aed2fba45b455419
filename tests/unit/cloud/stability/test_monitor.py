from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from support.waiting import eventually

from secondlook.cloud.stability import Monitor, MonitorSettings, monitored
from secondlook.cloud.stability.gpus import GpuLoad
from secondlook.cloud.stability.machine import Machine, MachineLoad
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidInput

LOAD = MachineLoad(1.5, 1000, 0.75, 0.5)


class FakeGpus:
    """One that tells all, and a part of one."""

    def __init__(self) -> None:
        self.closed = False

    def read(self) -> Sequence[GpuLoad]:
        return [GpuLoad("0", 0.25, 7, 10), GpuLoad("1", None, 8, 10)]

    def close(self) -> None:
        self.closed = True


class Watched:
    """A registry as the service has it, and a monitor of it."""

    def __init__(self, load: MachineLoad | None = LOAD) -> None:
        self.registry = CollectorRegistry()
        prefix = "secondlook_cloud"
        self.verdicts = Histogram(
            f"{prefix}_verdict_seconds",
            "-",
            ["purpose"],
            buckets=[0.1, 0.2, 0.4],
            registry=self.registry,
        )
        self.infer = Histogram(
            f"{prefix}_engine_infer_seconds",
            "-",
            ["model"],
            buckets=[0.1, 0.2],
            registry=self.registry,
        )
        self.rows = Histogram(f"{prefix}_engine_batch_rows", "-", ["model"], registry=self.registry)
        self.queue = Gauge(
            f"{prefix}_engine_queue_requests", "-", ["model"], registry=self.registry
        )
        self.calls = Counter(f"{prefix}_calls", "-", ["method", "status"], registry=self.registry)
        self.monitor = Monitor(
            self.registry, MonitorSettings(window_s=10), lambda: load, FakeGpus()
        )
        self.registry.register(self.monitor)
        self.now_s = 0.0

    def look(self, lag_s: float = 0.0) -> None:
        self.monitor.look(self.now_s, lag_s)
        self.now_s += 1.0

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"secondlook_cloud_{name}", labels)


def test_the_last_seconds_are_told() -> None:
    one = Watched()
    one.verdicts.labels("unsure").observe(30)
    one.look()
    for _ in range(50):
        one.verdicts.labels("unsure").observe(0.05)
        one.verdicts.labels("audit").observe(0.3)
        one.calls.labels("Escalate", "OK").inc()
    one.calls.labels("Escalate", "UNAVAILABLE").inc(20)
    one.calls.labels("Escalate", "INVALID_ARGUMENT").inc(30)
    one.rows.labels("m").observe(2)
    one.rows.labels("m").observe(4)
    one.look()
    labels = {"stage": "verdict", "model": ""}
    assert one.value("window_seconds", quantile="0.5", **labels) == pytest.approx(0.1)
    assert one.value("window_seconds", quantile="0.95", **labels) == pytest.approx(0.38)
    assert one.value("window_seconds", quantile="0.99", **labels) == pytest.approx(0.396)
    assert one.value("window_stage_per_second", **labels) == 100
    assert one.value("window_calls_per_second") == 100
    assert one.value("window_error_ratio") == pytest.approx(0.2), "bad input is no failure of ours"
    assert one.value("window_batch_rows", model="m") == 3
    for _ in range(12):
        one.look()
    assert one.value("window_seconds", quantile="0.5", **labels) is None, "nothing was asked"
    assert one.value("window_calls_per_second") == 0
    assert one.value("window_error_ratio") == 0
    assert one.value("window_batch_rows", model="m") is None


def test_stages_are_told_for_each_model() -> None:
    one = Watched()
    one.look()
    one.infer.labels("a").observe(0.05)
    one.infer.labels("b").observe(0.15)
    one.look()
    for model, expected in (("a", 0.05), ("b", 0.15)):
        labels = {"stage": "infer", "model": model, "quantile": "0.5"}
        assert one.value("window_seconds", **labels) == pytest.approx(expected)


def test_queues_and_lags_are_told_at_their_worst() -> None:
    one = Watched()
    for waiting, lag_s in ((1, 0.0), (9, 0.5), (2, 0.1)):
        one.queue.labels("m").set(waiting)
        one.look(lag_s)
    assert one.value("window_queue_requests", model="m") == 9
    assert one.value("window_loop_lag_seconds") == 0.5


def test_machine_and_gpus_are_told() -> None:
    one = Watched()
    assert one.value("process_cpu_cores") is None
    one.look()
    assert one.value("process_cpu_cores") == 1.5
    assert one.value("process_memory_bytes") == 1000
    assert one.value("machine_cpu_ratio") == 0.75
    assert one.value("machine_memory_ratio") == 0.5
    assert one.value("gpu_busy_ratio", gpu="0") == 0.25
    assert one.value("gpu_busy_ratio", gpu="1") is None
    assert one.value("gpu_memory_used_bytes", gpu="1") == 8
    assert one.value("gpu_memory_total_bytes", gpu="1") == 10


def test_a_system_that_does_not_say_leaves_gaps() -> None:
    one = Watched(load=None)
    one.look()
    assert one.value("process_cpu_cores") is None
    assert one.value("window_loop_lag_seconds") == 0


def test_the_real_machine_says_something_likely() -> None:
    load = Machine().read()
    assert load is not None
    assert load.process_bytes > 1_000_000
    assert 0 <= load.cpu_ratio <= 1
    assert 0 < load.memory_ratio < 1
    assert load.process_cores >= 0


@pytest.mark.anyio
async def test_it_looks_again_and_again_and_leaves_nothing_behind() -> None:
    registry = CollectorRegistry()
    gpus = FakeGpus()
    ticks: list[int] = []
    settings = MonitorSettings(every_s=0.1)
    async with monitored(
        registry, settings, ticks=[lambda: ticks.append(1)], find_gpus=lambda: gpus
    ):
        await eventually(lambda: len(ticks) >= 2)
        assert registry.get_sample_value("secondlook_cloud_process_memory_bytes")
        assert registry.get_sample_value("secondlook_cloud_window_loop_lag_seconds") is not None
    assert gpus.closed
    assert list(registry.collect()) == []


@pytest.mark.anyio
async def test_switched_off_it_only_ticks() -> None:
    registry = CollectorRegistry()
    ticked = anyio.Event()
    async with monitored(
        registry,
        MonitorSettings(enabled=False, every_s=0.1),
        ManualClock(),
        ticks=[lambda: anyio.from_thread.run_sync(ticked.set)],
    ):
        with anyio.fail_after(10):
            await ticked.wait()
        assert list(registry.collect()) == []


@pytest.mark.anyio
async def test_what_fails_elsewhere_does_not_end_the_service() -> None:
    registry = CollectorRegistry()
    queue = Gauge("secondlook_cloud_engine_queue_requests", "-", ["model"], registry=registry)
    broken: list[int] = []

    def fails() -> float:
        broken.append(1)
        raise RuntimeError("gone")

    queue.labels("m").set_function(fails)
    with pytest.raises(InvalidInput, match="as it is"):
        await fails_inside(registry, broken)


async def fails_inside(registry: CollectorRegistry, broken: list[int]) -> None:
    settings = MonitorSettings(every_s=0.1, gpus=False)
    async with monitored(registry, settings):
        await eventually(lambda: len(broken) >= 2)
        raise InvalidInput("as it is")
