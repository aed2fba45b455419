"""What the engine counts about loading."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LOAD_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class LifecycleMetrics:
    """Loads and versions, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._loads = Counter(
            "secondlook_cloud_model_loads",
            "Versions that were loaded, or refused.",
            ["model", "outcome"],
            registry=registry,
        )
        self._load_seconds = Histogram(
            "secondlook_cloud_model_load_seconds",
            "From the start of a load to a version that is warm.",
            ["model"],
            buckets=LOAD_SECONDS,
            registry=registry,
        )
        self._versions = Gauge(
            "secondlook_cloud_model_versions",
            "Versions of the model that are served.",
            ["model"],
            registry=registry,
        )

    def loaded(self, model: str, seconds: float) -> None:
        """A version is ready."""
        self._loads.labels(model, "loaded").inc()
        self._load_seconds.labels(model).observe(seconds)

    def refused(self, model: str) -> None:
        """A version could not be loaded."""
        self._loads.labels(model, "refused").inc()

    def serving(self, model: str, versions: int) -> None:
        """So many versions are served now."""
        self._versions.labels(model).set(versions)
