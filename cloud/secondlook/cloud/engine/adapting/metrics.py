"""What is shown of the choice of version and variant."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from secondlook.cloud.engine.adapting.controller import Choice


class AdaptingMetrics:
    """In one registry, for all models. On the event loop only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._chosen = Gauge(
            "secondlook_cloud_engine_chosen",
            "1 for the version and variant that new requests get.",
            ["model", "version", "variant"],
            registry=registry,
        )
        self._changes = Counter(
            "secondlook_cloud_engine_choice_changes",
            "Times that another version or variant was chosen so that the objective holds.",
            ["model"],
            registry=registry,
        )
        self._objective = Gauge(
            "secondlook_cloud_engine_objective_seconds",
            "The latency that the choice is to hold, 95th percentile.",
            ["model"],
            registry=registry,
        )
        self._labels: dict[str, tuple[str, str, str]] = {}

    def objective(self, model: str, seconds: float) -> None:
        """A model has an objective."""
        self._objective.labels(model).set(seconds)
        self._changes.labels(model)

    def chosen(self, model: str, choice: Choice, *, changed: bool) -> None:
        """A model has a choice; ``changed``: it had another."""
        before = self._labels.pop(model, None)
        if before is not None:
            self._chosen.remove(*before)
        self._labels[model] = labels = (model, choice.version, choice.variant)
        self._chosen.labels(*labels).set(1)
        if changed:
            self._changes.labels(model).inc()

    def forget(self, model: str) -> None:
        """A model is gone. Safe to repeat."""
        before = self._labels.pop(model, None)
        if before is not None:
            self._chosen.remove(*before)
            self._objective.remove(model)
