"""Metrics of the decision log."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class DecisionMeter:
    """What became of decisions, by camera."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dropped = Counter(
            "secondlook_edge_decisions_dropped",
            "Records of decisions that were not logged: no room, or the disk refused.",
            ["camera"],
            registry=registry,
        )
        self.failures = Counter(
            "secondlook_edge_decisions_failed",
            "Times that the disk refused to take decisions.",
            ["camera"],
            registry=registry,
        )
        self.written = Counter(
            "secondlook_edge_decisions_written_bytes",
            "Bytes of decisions and their pictures that were written.",
            ["camera"],
            registry=registry,
        )
        self.size = Gauge(
            "secondlook_edge_decisions_kept_bytes",
            "Bytes of decisions and their pictures that are kept.",
            ["camera"],
            registry=registry,
        )

    def begin(self, camera: str) -> None:
        """Show the camera from the start, with nothing dropped."""
        self.dropped.labels(camera)
        self.failures.labels(camera)
