"""What the cloud service counts, besides its engine."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from secondlook.cloud.engine.metrics import SECONDS
from secondlook.shared.telemetry import QuickCounter
from secondlook.shared.values import Purpose


class JudgeMetrics:
    """Verdicts, and where their time went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        verdicts = Histogram(
            "secondlook_cloud_verdict_seconds",
            "Time from an escalation's arrival to its verdict.",
            ["purpose"],
            buckets=SECONDS,
            registry=registry,
        )
        self._verdicts = {purpose: verdicts.labels(purpose.value) for purpose in Purpose}
        self._decode = Histogram(
            "secondlook_cloud_decode_seconds",
            "Time to decode and compose the picture of an escalation.",
            buckets=SECONDS,
            registry=registry,
        )
        canvases = Counter(
            "secondlook_cloud_canvases",
            "Pictures composed from regions, by what lay under them.",
            ["under"],
            registry=registry,
        )
        self._on_background = canvases.labels("background")
        self._on_grey = canvases.labels("grey")

    def judged(self, purpose: Purpose, decode_s: float, total_s: float) -> None:
        """A verdict was given."""
        self._decode.observe(decode_s)
        self._verdicts[purpose].observe(total_s)

    def composed(self, *, on_background: bool) -> None:
        """A canvas was composed."""
        (self._on_background if on_background else self._on_grey).inc()


class RpcMetrics:
    """Calls by method and status; counted on the event loop alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = QuickCounter(
            "secondlook_cloud_calls",
            "Calls answered, by method and gRPC status; requests of a stream count one by one.",
            ["method", "status"],
            registry=registry,
        )

    def answered(self, method: str, status: str) -> None:
        """A call, or one request of a stream, was answered."""
        self._calls.labels(method, status).inc()


class MemoryMetrics:
    """What is done for the context memory while nobody asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._forgotten = Counter(
            "secondlook_cloud_memory_forgotten_records",
            "Deleted or expired records of the context memory that were forgotten.",
            registry=registry,
        )
        self._failures = Counter(
            "secondlook_cloud_memory_forgetting_failures",
            "Rounds of forgetting that the store failed.",
            registry=registry,
        )
        self._certified = Counter(
            "secondlook_cloud_memory_site_certificates",
            "Records written about the trust of sites.",
            registry=registry,
        )
        self._uncertified = Counter(
            "secondlook_cloud_memory_certifying_failures",
            "Rounds of certifying sites that the store failed.",
            registry=registry,
        )

    def forgot(self, records: int) -> None:
        """Some records were forgotten."""
        self._forgotten.inc(records)

    def failed(self) -> None:
        """A round of forgetting failed."""
        self._failures.inc()

    def certified(self, records: int) -> None:
        """Records about sites were written."""
        self._certified.inc(records)

    def certifying_failed(self) -> None:
        """A round of certifying sites failed."""
        self._uncertified.inc()
