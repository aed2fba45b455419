"""A look at the service every second, for `/metrics`.

Latency, errors, batches and queues of the last seconds come from counters and histograms that are
there anyway: a request costs nothing more. The looking is done in a thread, beside the event loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from secondlook.cloud.stability.gpus import Gpus, NoGpus, open_gpus
from secondlook.cloud.stability.machine import Machine, MachineLoad
from secondlook.cloud.stability.settings import MonitorSettings
from secondlook.cloud.stability.sliding import Sliding, quantile
from secondlook.shared.background import background_tasks
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

STAGES = {
    "verdict": "secondlook_cloud_verdict_seconds",
    "request": "secondlook_cloud_engine_request_seconds",
    "wait": "secondlook_cloud_engine_wait_seconds",
    "infer": "secondlook_cloud_engine_infer_seconds",
}
"""Histograms whose last seconds are told, by the name of the stage."""
BATCH_ROWS = "secondlook_cloud_engine_batch_rows"
QUEUE = "secondlook_cloud_engine_queue_requests"
CALLS = "secondlook_cloud_calls"
QUANTILES = (0.5, 0.95, 0.99)
FAILURES = frozenset(
    {"INTERNAL", "UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "DATA_LOSS"}
)
"""What a service answers that did not do its work; all else is the caller's doing."""

_Bucket = tuple[str, str, float]
"""Stage, model, upper bound."""


class Monitor(Collector):
    """See the module. `look` and `collect` may be called in different threads.

    Args:
        registry: where the counters are.
        settings: how long the window is.
        machine: what this process has to do.
        gpus: what GPUs have to do.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        settings: MonitorSettings,
        machine: Callable[[], MachineLoad | None],
        gpus: Gpus | None = None,
    ) -> None:
        self._machine = machine
        self._gpus = gpus or NoGpus()
        names = {f"{name}_bucket" for name in STAGES.values()}
        names |= {f"{BATCH_ROWS}_sum", f"{BATCH_ROWS}_count", QUEUE, f"{CALLS}_total"}
        self._counters = registry.restricted_registry(names)
        window_s = settings.window_s
        self._stages: Sliding[_Bucket] = Sliding(window_s)
        self._calls: Sliding[bool] = Sliding(window_s)
        self._rows: Sliding[tuple[str, bool]] = Sliding(window_s)
        self._queues: Sliding[str] = Sliding(window_s)
        self._lags: Sliding[None] = Sliding(window_s)
        self._told: Sequence[Metric] = ()

    def describe(self) -> Iterable[Metric]:
        """What it tells, for the registry; without asking for values."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """What the last look saw."""
        return self._told

    def look(self, now_s: float, lag_s: float = 0.0) -> None:
        """Look once. Blocking, about a millisecond.

        Args:
            now_s: now, monotonic seconds.
            lag_s: how late the event loop was to ask for it.
        """
        self._read(now_s, lag_s)
        families = _families()
        self._tell_stages(families)
        self._tell_calls(families)
        self._tell_machine(families)
        self._told = [family for family in families.values() if family.samples]

    def _read(self, now_s: float, lag_s: float) -> None:
        stage_of = {name: stage for stage, name in STAGES.items()}
        stages: defaultdict[_Bucket, float] = defaultdict(float)
        calls = {True: 0.0, False: 0.0}
        rows: dict[tuple[str, bool], float] = {}
        queues: dict[str, float] = {}
        for metric in self._counters.collect():
            for sample in metric.samples:
                model = sample.labels.get("model", "")
                if metric.name in stage_of:
                    bound = float(sample.labels["le"])
                    stages[stage_of[metric.name], model, bound] += sample.value
                elif metric.name == CALLS:
                    calls[sample.labels["status"] in FAILURES] += sample.value
                elif metric.name == BATCH_ROWS:
                    rows[model, sample.name.endswith("_sum")] = sample.value
                elif metric.name == QUEUE:
                    queues[model] = queues.get(model, 0.0) + sample.value
        self._stages.put(now_s, stages)
        self._calls.put(now_s, calls)
        self._rows.put(now_s, rows)
        self._queues.put(now_s, queues)
        self._lags.put(now_s, {None: lag_s})

    def _tell_stages(self, families: dict[str, GaugeMetricFamily]) -> None:
        buckets: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for (stage, model, bound), count in self._stages.grown().items():
            buckets[stage, model].append((bound, count))
        for labels, unordered in buckets.items():
            bounds, counts = zip(*sorted(unordered), strict=True)
            if counts[-1] <= 0:
                continue
            families["per_second"].add_metric(labels, counts[-1] / self._stages.seconds)
            for share in QUANTILES:
                value = quantile(bounds, counts, share)
                families["seconds"].add_metric([*labels, f"{share:g}"], value)

    def _tell_calls(self, families: dict[str, GaugeMetricFamily]) -> None:
        calls = self._calls.grown()
        total = sum(calls.values())
        if self._calls.seconds:
            families["calls_per_second"].add_metric([], total / self._calls.seconds)
            # Without calls nothing fails: alerts need a number then as well.
            families["error_ratio"].add_metric([], calls[True] / total if total else 0.0)
        rows = self._rows.grown()
        for (model, is_sum), batches in rows.items():
            if not is_sum and batches:
                families["batch_rows"].add_metric([model], rows[model, True] / batches)
        for model, most in self._queues.highest().items():
            families["queue_requests"].add_metric([model], most)
        families["lag"].add_metric([], self._lags.highest()[None])

    def _tell_machine(self, families: dict[str, GaugeMetricFamily]) -> None:
        load = self._machine()
        if load is not None:
            families["process_cores"].add_metric([], load.process_cores)
            families["process_bytes"].add_metric([], load.process_bytes)
            families["machine_cpu"].add_metric([], load.cpu_ratio)
            families["machine_memory"].add_metric([], load.memory_ratio)
        for gpu in self._gpus.read():
            if gpu.busy_ratio is not None:
                families["gpu_busy"].add_metric([gpu.gpu], gpu.busy_ratio)
            families["gpu_used"].add_metric([gpu.gpu], gpu.used_bytes)
            families["gpu_total"].add_metric([gpu.gpu], gpu.total_bytes)


_WINDOW = {
    "seconds": (
        "window_seconds",
        "Time that a stage took in the last seconds.",
        ["stage", "model", "quantile"],
    ),
    "per_second": (
        "window_stage_per_second",
        "How often a stage was passed in the last seconds.",
        ["stage", "model"],
    ),
    "calls_per_second": ("window_calls_per_second", "Calls answered in the last seconds.", []),
    "error_ratio": (
        "window_error_ratio",
        "Part of the calls of the last seconds that the service failed.",
        [],
    ),
    "batch_rows": ("window_batch_rows", "Mean rows of a batch in the last seconds.", ["model"]),
    "queue_requests": (
        "window_queue_requests",
        "Most requests that waited at a look of the last seconds.",
        ["model"],
    ),
    "lag": (
        "window_loop_lag_seconds",
        "Longest time that the event loop was late in the last seconds.",
        [],
    ),
    "process_cores": ("process_cpu_cores", "Cores that this process keeps busy.", []),
    "process_bytes": ("process_memory_bytes", "Resident memory of this process.", []),
    "machine_cpu": ("machine_cpu_ratio", "Part of the machine's cores that is busy.", []),
    "machine_memory": ("machine_memory_ratio", "Part of the machine's memory in use.", []),
    "gpu_busy": ("gpu_busy_ratio", "Part of the time in which the GPU worked.", ["gpu"]),
    "gpu_used": ("gpu_memory_used_bytes", "Memory of the GPU in use.", ["gpu"]),
    "gpu_total": ("gpu_memory_total_bytes", "Memory of the GPU.", ["gpu"]),
}


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        key: GaugeMetricFamily(f"secondlook_cloud_{name}", text, labels=labels)
        for key, (name, text, labels) in _WINDOW.items()
    }


@asynccontextmanager
async def monitored(
    registry: CollectorRegistry,
    settings: MonitorSettings,
    clock: Clock | None = None,
    *,
    ticks: Sequence[Callable[[], object]] = (),
    find_gpus: Callable[[], Gpus] = open_gpus,
) -> AsyncIterator[None]:
    """Look every second while the block runs.

    Args:
        registry: where the counters are, and where to tell.
        settings: how often.
        clock: its monotonic clock tells the time.
        ticks: also called every second, in a thread, whether or not it looks: for breakers.
        find_gpus: gives the GPUs; blocking.
    """
    clock = clock or SystemClock()
    monitor: Monitor | None = None
    gpus: Gpus = NoGpus()
    if settings.enabled:
        machine = await anyio.to_thread.run_sync(Machine)
        if settings.gpus:
            gpus = await anyio.to_thread.run_sync(find_gpus)
        monitor = Monitor(registry, settings, machine.read, gpus)
        registry.register(monitor)
    try:
        async with background_tasks() as tasks:
            tasks.start_soon(_every, settings.every_s, clock, monitor, ticks)
            yield
    finally:
        if monitor is not None:
            registry.unregister(monitor)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(gpus.close)


async def _every(
    every_s: float, clock: Clock, monitor: Monitor | None, ticks: Sequence[Callable[[], object]]
) -> None:
    lag_s = 0.0
    while True:
        planned_s = clock.monotonic() + every_s
        await anyio.to_thread.run_sync(_look, monitor, ticks, clock, lag_s)
        await anyio.sleep(max(0.0, planned_s - clock.monotonic()))
        lag_s = max(0.0, clock.monotonic() - planned_s)


def _look(
    monitor: Monitor | None, ticks: Sequence[Callable[[], object]], clock: Clock, lag_s: float
) -> None:
    for tick in ticks:
        tick()
    if monitor is None:
        return
    try:
        monitor.look(clock.monotonic(), lag_s)
    except Exception:  # noqa: BLE001 - a gauge of another part that fails must not end the service
        _log.exception("the monitor cannot look")
