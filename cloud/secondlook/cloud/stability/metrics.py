"""What the breakers count."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from secondlook.cloud.stability.states import BreakerState
from secondlook.cloud.stability.windows import Bad

STATE_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
"""What `secondlook_cloud_breaker_state` shows."""

OUTCOMES = ("good", Bad.FAILED.value, Bad.SLOW.value, "neutral")


class BreakerMetrics:
    """Of all breakers, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "secondlook_cloud_breaker"
        self.state = Gauge(
            f"{prefix}_state",
            "Whether calls go through to a backend: 0 closed (they do), 1 half open, 2 open.",
            ["backend"],
            registry=registry,
        )
        self.opened = Counter(
            f"{prefix}_opened",
            "How often a backend was cut off.",
            ["backend"],
            registry=registry,
        )
        self.refused = Counter(
            f"{prefix}_refused",
            "Requests and calls refused because their backend is cut off.",
            ["backend"],
            registry=registry,
        )
        self.calls = Counter(
            f"{prefix}_calls",
            "Calls of a backend that ended, by outcome.",
            ["backend", "outcome"],
            registry=registry,
        )
        self.hung = Gauge(
            f"{prefix}_hung_calls",
            "Calls of a backend that are under way for too long.",
            ["backend"],
            registry=registry,
        )

    def of_backend(self, name: str) -> BackendMetrics:
        """Of one backend."""
        return BackendMetrics(self, name)


class BackendMetrics:
    """Of one backend; callable from any thread."""

    def __init__(self, metrics: BreakerMetrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._state = metrics.state.labels(name)
        self._opened = metrics.opened.labels(name)
        self._refused = metrics.refused.labels(name)
        self._hung = metrics.hung.labels(name)
        self._calls = {outcome: metrics.calls.labels(name, outcome) for outcome in OUTCOMES}

    def state(self, state: BreakerState) -> None:
        """The state has changed."""
        self._state.set(STATE_NUMBERS[state])

    def opened(self) -> None:
        """The backend was cut off."""
        self._opened.inc()

    def refused(self) -> None:
        """A request or call was refused."""
        self._refused.inc()

    def ended(self, outcome: str, calls: int = 1) -> None:
        """Calls ended, one of `OUTCOMES`."""
        self._calls[outcome].inc(calls)

    def hung(self, calls: int) -> None:
        """So many calls hang."""
        self._hung.set(calls)

    def forget(self) -> None:
        """The backend is gone."""
        for metric in (
            self._metrics.state,
            self._metrics.opened,
            self._metrics.refused,
            self._metrics.hung,
        ):
            metric.remove(self._name)
        for outcome in OUTCOMES:
            self._metrics.calls.remove(self._name, outcome)
