"""What the daemon counts for Prometheus, by camera."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from secondlook.edge.daemon.ways import WayMeter
from secondlook.shared.values import Purpose


class CameraMeter:
    """Metrics of all cameras; label ``camera``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"secondlook_edge_{name}", text, ["camera", *labels], registry=registry)

        self.answers = counter("answers", "Frames answered.")
        self.still = counter("still_frames", "Frames that reused the last detections.")
        self.failed = counter("failed_frames", "Frames on which the light model gave nonsense.")
        self.revisions = counter("revisions", "Answers that a verdict changed.")
        self.verdicts = counter("verdicts", "Verdicts taken in.")
        self.lost = counter("lost_questions", "Questions without a verdict.", "reason")
        self.escalations = counter("escalations", "Questions handed to the uplink.", "purpose")
        self.picture_bytes = counter("escalated_bytes", "Pictures of those questions, bytes.")
        self.offline = counter("offline_questions", "Questions not asked: the cloud was away.")
        self.unpaid = counter("unpaid_questions", "Not asked: the budget was spent.", "purpose")
        self.late = counter("late_questions", "Asked, though too late for the answer.")
        self.spooled = counter("spooled_questions", "Kept on disk, to be asked later.")
        self.late_verdicts = counter("late_verdicts", "Verdicts on questions kept on disk.")
        self.restarts = counter("camera_restarts", "Times a camera started over.")
        self.ways = WayMeter(registry)
        self.latency = Histogram(
            "secondlook_edge_answer_seconds",
            "From capture to the answer.",
            ["camera"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=registry,
        )

    def escalated(self, camera: str, purpose: Purpose, size_bytes: int) -> None:
        """A question is handed to the uplink."""
        self.escalations.labels(camera, purpose.value).inc()
        self.picture_bytes.labels(camera).inc(size_bytes)
