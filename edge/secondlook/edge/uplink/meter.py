"""What the uplink counts."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from secondlook.edge.uplink.breaker import BreakerState
from secondlook.edge.uplink.channel import UplinkState


@dataclass(slots=True)
class UplinkTotals:
    """Totals since the start.

    Attributes:
        requests: attempts made.
        retries: attempts after the first of a question.
        verdicts: answers received.
        failures: questions without an answer.
        sent_bytes: size of the messages sent, bytes.
        received_bytes: size of the messages received, bytes.
        wire_bytes: estimate of what the attempts and probes took upwards on the wire, bytes.
        probes: health checks of the breaker.
    """

    requests: int = 0
    retries: int = 0
    verdicts: int = 0
    failures: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    wire_bytes: int = 0
    probes: int = 0


class UplinkMeter:
    """Totals, and the same as metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.totals = UplinkTotals()
        prefix = "secondlook_edge_uplink"
        self._sent = Counter(f"{prefix}_sent_bytes", "Messages sent, bytes.", registry=registry)
        self._received = Counter(
            f"{prefix}_received_bytes", "Messages received, bytes.", registry=registry
        )
        self._retries = Counter(f"{prefix}_retries", "Attempts after the first.", registry=registry)
        self._failures = Counter(
            f"{prefix}_failures", "Questions without an answer.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_answer_seconds",
            "From sending a question to its verdict.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self._queued = Gauge(f"{prefix}_queued", "Questions waiting to be sent.", registry=registry)
        self._state = Gauge(
            f"{prefix}_state", "1 for the state of the connection.", ["state"], registry=registry
        )

        self._wire = Counter(
            f"{prefix}_wire_bytes",
            "Estimate of what attempts and probes took upwards on the wire, bytes.",
            registry=registry,
        )
        self._probes = Counter(
            f"{prefix}_probes", "Health checks of the breaker.", ["result"], registry=registry
        )
        self._breaker = Gauge(
            f"{prefix}_breaker_state",
            "1 for the state of the breaker.",
            ["state"],
            registry=registry,
        )
        self._opened = Counter(
            f"{prefix}_breaker_opened", "Times the breaker opened.", registry=registry
        )

        self._outage = Gauge(
            f"{prefix}_outage", "1 while the cloud cannot be asked.", registry=registry
        )

    def outage(self, lasts: bool) -> None:
        """Whether the cloud cannot be asked."""
        self._outage.set(lasts)

    def breaker(self, state: BreakerState, *, opened: bool = False) -> None:
        """The breaker's state, and whether it has just opened."""
        for name in BreakerState:
            self._breaker.labels(name.value).set(name is state)
        self._opened.inc(opened)

    def probed(self, ok: bool, wire_bytes: int) -> None:
        """A probe went out and has ended."""
        self.totals.probes += 1
        self.totals.wire_bytes += wire_bytes
        self._wire.inc(wire_bytes)
        self._probes.labels("ok" if ok else "failed").inc()

    def state(self, state: UplinkState) -> None:
        """The connection's state."""
        for name in UplinkState:
            self._state.labels(name.value).set(name is state)

    def queued(self, waiting: int) -> None:
        """Questions waiting to be sent."""
        self._queued.set(waiting)

    def sent(self, size_bytes: int, wire_bytes: int) -> None:
        """An attempt: the size of its message, and what that takes on the wire."""
        self.totals.requests += 1
        self.totals.wire_bytes += wire_bytes
        self._wire.inc(wire_bytes)
        self.totals.sent_bytes += size_bytes
        self._sent.inc(size_bytes)

    def received(self, size_bytes: int, seconds: float) -> None:
        """An answer."""
        self.totals.verdicts += 1
        self.totals.received_bytes += size_bytes
        self._received.inc(size_bytes)
        self._seconds.observe(seconds)

    def retried(self) -> None:
        """Another attempt is about to be made."""
        self.totals.retries += 1
        self._retries.inc()

    def failed(self, reason: str) -> None:
        """A question has no answer."""
        self.totals.failures += 1
        self._failures.labels(reason).inc()


class SpoolMeter:
    """Metrics of what waits on disk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "secondlook_edge_spool"
        self._questions = Gauge(f"{prefix}_questions", "Questions on disk.", registry=registry)
        self._bytes = Gauge(f"{prefix}_bytes", "Their files, bytes.", registry=registry)
        self._fate = Counter(
            f"{prefix}_fate", "What became of questions for the disk.", ["fate"], registry=registry
        )

    def holds(self, questions: int, size_bytes: int) -> None:
        """What is on disk now."""
        self._questions.set(questions)
        self._bytes.set(size_bytes)

    def fate(self, what: str, count: int = 1) -> None:
        """What became of questions."""
        self._fate.labels(what).inc(count)
