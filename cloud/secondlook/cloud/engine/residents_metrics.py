"""What the engine counts where there are more models than memory."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class ResidentsMetrics:
    """Loads, evictions, and requests that found their model in memory or did not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._loads = Counter(
            "secondlook_cloud_resident_loads",
            "Models loaded: on demand, ahead at once (now) or ahead when idle (idle).",
            ["when"],
            registry=registry,
        )
        for when in ("demand", "now", "idle"):
            self._loads.labels(when)
        self._evictions = Counter(
            "secondlook_cloud_resident_evictions",
            "Models unloaded to make room.",
            registry=registry,
        )
        self._hits = Counter(
            "secondlook_cloud_resident_hits",
            "Requests that found their model in memory.",
            registry=registry,
        )
        self._cold = Counter(
            "secondlook_cloud_resident_cold",
            "Requests that had to wait for their model.",
            registry=registry,
        )
        self._bytes = Gauge(
            "secondlook_cloud_resident_bytes", "What the models take.", registry=registry
        )
        self._models = Gauge(
            "secondlook_cloud_resident_models", "Models in memory.", registry=registry
        )

    def watch(self, total: Callable[[], float], models: Callable[[], float]) -> None:
        """Read these whenever the metrics are read."""
        self._bytes.set_function(total)
        self._models.set_function(models)

    def loaded(self, when: str) -> None:
        """A model was loaded: ``demand``, ``now`` or ``idle``."""
        self._loads.labels(when).inc()

    def evicted(self) -> None:
        """A model made room."""
        self._evictions.inc()

    def hit(self) -> None:
        """A request found its model."""
        self._hits.inc()

    def cold(self) -> None:
        """A request waits for its model."""
        self._cold.inc()
