"""What the engine counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class EngineMetrics:
    """The engine's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dropped = Counter(
            "secondlook_cloud_engine_dropped",
            "Requests that left the model's queue without an answer.",
            ["model", "reason"],
            registry=registry,
        )
        self.retried = Counter(
            "secondlook_cloud_engine_retried",
            "Images run again alone because their batch failed.",
            ["model"],
            registry=registry,
        )
        self.batch_images = Histogram(
            "secondlook_cloud_engine_batch_images",
            "Images in one call of the network.",
            ["model"],
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self.infer_seconds = Histogram(
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

    def of_model(self, model: str) -> ModelMetrics:
        """The metrics of one model."""
        return ModelMetrics(self, model)


class ModelMetrics:
    """The engine's metrics, for one model; callable from its thread and from the event loop."""

    def __init__(self, metrics: EngineMetrics, model: str) -> None:
        self._dropped = {
            reason: metrics.dropped.labels(model, reason)
            for reason in ("expired", "overloaded", "cancelled")
        }
        self._retried = metrics.retried.labels(model)
        self._batch_images = metrics.batch_images.labels(model)
        self._infer_seconds = metrics.infer_seconds.labels(model)
        self._queue_requests = metrics.queue_requests.labels(model)

    def dropped(self, reason: str, count: int = 1) -> None:
        """Requests left without an answer: ``expired``, ``overloaded`` or ``cancelled``."""
        self._dropped[reason].inc(count)

    def retried(self, count: int) -> None:
        """Images are run again, alone."""
        self._retried.inc(count)

    def ran(self, images: int, infer_s: float) -> None:
        """The network ran."""
        self._batch_images.observe(images)
        self._infer_seconds.observe(infer_s)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Read the queue's length whenever the metrics are read."""
        self._queue_requests.set_function(lambda: float(length()))

    def unwatch_queue(self) -> None:
        """The queue is gone."""
        self._queue_requests.set_function(lambda: 0.0)
