"""What the verdict cache counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

HIT, MISS, SHARED = "hit", "miss", "shared"


class CacheMetrics:
    """In one registry; for the event loop's thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "secondlook_cloud_cache"
        self._lookups = Counter(
            f"{prefix}_lookups",
            "Questions looked for among the answers: hit, miss, or shared with one in progress.",
            ["model", "version", "outcome"],
            registry=registry,
        )
        self._saved_bytes = Counter(
            f"{prefix}_saved_bytes",
            "Pixels, in bytes, that no network had to look at, because their answer was known.",
            ["model", "version"],
            registry=registry,
        )
        self._saved_seconds = Counter(
            f"{prefix}_saved_seconds",
            "Time of the network that known answers had cost when they were first given.",
            ["model", "version"],
            registry=registry,
        )
        self._forgotten = Counter(
            f"{prefix}_forgotten",
            "Answers forgotten, because room was needed or their version came, changed or went.",
            ["reason"],
            registry=registry,
        )
        self._evicted = self._forgotten.labels("room")
        self._outdated = self._forgotten.labels("version")
        self._bytes = Gauge(f"{prefix}_bytes", "Size of the answers.", registry=registry)
        self._entries = Gauge(f"{prefix}_entries", "Answers kept.", registry=registry)
        self._warmed = Counter(
            f"{prefix}_warmed", "Answers taken over from the context memory.", registry=registry
        )
        self._failures = Counter(
            f"{prefix}_memory_failures",
            "Savings to, and readings from, the context memory that failed.",
            registry=registry,
        )

    def looked(self, model: str, version: str, outcome: str) -> None:
        """A question was looked for."""
        self._lookups.labels(model, version, outcome).inc()

    def saved(self, model: str, version: str, image_bytes: int, seconds: float) -> None:
        """A network had not to look at a picture."""
        self._saved_bytes.labels(model, version).inc(image_bytes)
        self._saved_seconds.labels(model, version).inc(seconds)

    def evicted(self, answers: int) -> None:
        """Some answers went for want of room."""
        self._evicted.inc(answers)

    def outdated(self, answers: int) -> None:
        """Some answers went with their version."""
        self._outdated.inc(answers)

    def warmed(self, answers: int) -> None:
        """Some answers came from the context memory."""
        self._warmed.inc(answers)

    def failed(self) -> None:
        """The context memory failed."""
        self._failures.inc()

    def watch(self, size: Callable[[], int], entries: Callable[[], int]) -> None:
        """Read the size whenever the metrics are read."""
        self._bytes.set_function(lambda: float(size()))
        self._entries.set_function(lambda: float(entries()))
