"""What the edge publishes about a frame: an answer, then perhaps revisions of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from secondlook.shared.values.decision import Decision
from secondlook.shared.values.detections import Detections
from secondlook.shared.values.frame import FrameRef


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A frame's detections as they stand now.

    Attributes:
        frame: which frame.
        detections: the boxes that stand, with track ids.
        revision: 0 for the answer given at once, then 1, 2, ... for each revision of this frame.
        decision: what the gate decided; ``None`` before it has.
        published_s: when this was published, monotonic seconds; ``None`` before it is.
        cause: request id of the verdict that made this revision; ``None`` for an answer.
        candidates: weaker boxes (below the publishing score) that the gate may ask about.
    """

    frame: FrameRef
    detections: Detections
    revision: int = 0
    decision: Decision | None = None
    published_s: float | None = None
    cause: str | None = None
    candidates: Detections = field(default_factory=lambda: Detections.empty(()))

    @property
    def latency_s(self) -> float | None:
        """Seconds from capture to publication; ``None`` before it."""
        return None if self.published_s is None else self.published_s - self.frame.captured_s
