"""What the engine counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge

from secondlook.shared.telemetry import QuickCounter, QuickHistogram

if TYPE_CHECKING:
    from secondlook.cloud.engine.batching.dispatch import Dispatch

TENANTS = 32
"""Tenants that have a label of their own; all others count as ``other``."""

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class EngineMetrics:
    """The engine's metrics in one registry; counted on the event loop only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dropped = QuickCounter(
            "secondlook_cloud_engine_dropped",
            "Requests that a model did not answer: overloaded, expired or cancelled.",
            ["model", "reason"],
            registry=registry,
        )
        self.retried = QuickCounter(
            "secondlook_cloud_engine_retried",
            "Requests run again in a part of their batch because it failed.",
            ["model"],
            registry=registry,
        )
        self.infer_seconds = QuickHistogram(
            "secondlook_cloud_engine_infer_seconds",
            "Time in the network, per batch.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_requests = Gauge(
            "secondlook_cloud_engine_queue_requests",
            "Requests that wait for the model.",
            ["model"],
            registry=registry,
        )
        self.batch_rows = QuickHistogram(
            "secondlook_cloud_engine_batch_rows",
            "Rows in one call of the network.",
            ["model"],
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self.wait_seconds = QuickHistogram(
            "secondlook_cloud_engine_wait_seconds",
            "Time from acceptance to the network, per request.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self.request_seconds = QuickHistogram(
            "secondlook_cloud_engine_request_seconds",
            "Time from acceptance to the answer, per request that was answered.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = QuickCounter(
            "secondlook_cloud_engine_refused",
            "Requests refused at once: no room, or no chance of an answer in time.",
            ["model", "tenant"],
            registry=registry,
        )
        versioned = ["model", "version", "variant"]
        self.batch_limit = Gauge(
            "secondlook_cloud_engine_batch_limit_rows",
            "Most rows of a batch now.",
            versioned,
            registry=registry,
        )
        self.capacity = Gauge(
            "secondlook_cloud_engine_capacity_rows_per_second",
            "What the measured pace allows, all instances together; 0 until something has run.",
            versioned,
            registry=registry,
        )
        self.arrivals = Gauge(
            "secondlook_cloud_engine_arrival_rows_per_second",
            "Rows that are asked for, let in or not.",
            versioned,
            registry=registry,
        )
        self.margin = Gauge(
            "secondlook_cloud_engine_admission_margin_ratio",
            "What admission control widens its predictions by, for the tenant where it is most.",
            versioned,
            registry=registry,
        )
        self._tenants: set[str] = set()
        self._queues: dict[str, list[Dispatch]] = {}

    def of_batcher(self, model: str, version: str, variant: str) -> BatcherMetrics:
        """The metrics of one batcher."""
        return BatcherMetrics(self, model, version, variant)

    def tenant(self, name: str) -> str:
        """The label of a tenant; labels are bounded, whoever calls."""
        if name in self._tenants:
            return name
        if len(self._tenants) >= TENANTS:
            return "other"
        self._tenants.add(name)
        return name

    def watch_queue(self, model: str, dispatch: Dispatch) -> None:
        """Count what waits there among what waits for the model."""
        queues = self._queues.setdefault(model, [])
        queues.append(dispatch)
        self.queue_requests.labels(model).set_function(
            lambda: float(sum(queue.waiting for queue in tuple(queues)))
        )

    def unwatch_queue(self, model: str, dispatch: Dispatch) -> None:
        """It is gone."""
        queues = self._queues.get(model, [])
        if dispatch in queues:
            queues.remove(dispatch)


class BatcherMetrics:
    """The engine's metrics, for one batcher; on the event loop only.

    Versions come and go: what is labelled by them goes with them, what is counted by model stays.
    """

    def __init__(self, metrics: EngineMetrics, model: str, version: str, variant: str) -> None:
        self._metrics = metrics
        self._model = model
        self._labels = model, version, variant
        self._dispatch: Dispatch | None = None
        self._dropped = {
            reason: metrics.dropped.labels(model, reason)
            for reason in ("expired", "overloaded", "cancelled")
        }
        self._retried = metrics.retried.labels(model)
        self._batch_rows = metrics.batch_rows.labels(model)
        self._infer_seconds = metrics.infer_seconds.labels(model)
        self._wait_seconds = metrics.wait_seconds.labels(model)
        self._request_seconds = metrics.request_seconds.labels(model)

    def dropped(self, reason: str, count: int = 1) -> None:
        """Requests left without an answer: ``expired``, ``overloaded`` or ``cancelled``."""
        self._dropped[reason].inc(count)

    def answered(self, queue_s: float, took_s: float) -> None:
        """A request has its answer."""
        self._wait_seconds.observe(queue_s)
        self._request_seconds.observe(took_s)

    def answered_at_once(self, took: Sequence[float]) -> None:
        """Requests were answered without a queue, each by a call of its own that took so long."""
        times, lasted = len(took), self._request_seconds.sorted_in(took)
        self._wait_seconds.observe(0.0, times)
        self._batch_rows.observe(1, times)
        self._request_seconds.join(lasted)
        self._infer_seconds.join(lasted)

    def refused(self, tenant: str) -> None:
        """A request was refused at once."""
        self._dropped["overloaded"].inc()
        self._metrics.refused.labels(self._model, self._metrics.tenant(tenant)).inc()

    def retried(self, count: int) -> None:
        """Requests were run again, in a part of their batch."""
        self._retried.inc(count)

    def ran(self, rows: int, infer_s: float) -> None:
        """The network ran."""
        self._batch_rows.observe(rows)
        self._infer_seconds.observe(infer_s)

    def watch(self, dispatch: Dispatch) -> None:
        """Read what it knows whenever the metrics are read."""
        metrics, labels = self._metrics, self._labels
        self._dispatch = dispatch
        metrics.watch_queue(self._model, dispatch)
        metrics.batch_limit.labels(*labels).set_function(lambda: float(dispatch.limit))
        metrics.capacity.labels(*labels).set_function(dispatch.capacity_per_s)
        metrics.arrivals.labels(*labels).set_function(dispatch.arrivals_per_s)
        metrics.margin.labels(*labels).set_function(dispatch.admission.most_margin)

    def close(self) -> None:
        """The batcher is gone. Safe to repeat."""
        if self._dispatch is None:
            return
        metrics = self._metrics
        metrics.unwatch_queue(self._model, self._dispatch)
        self._dispatch = None
        for gauge in (metrics.batch_limit, metrics.capacity, metrics.arrivals, metrics.margin):
            gauge.remove(*self._labels)
