"""What is known about the daemon while it runs, for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

_FORGET = 0.1
"""Weight of the newest interval in the smoothed rate."""


class Phase(str, Enum):
    """What a camera is doing."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """Failed; it starts again after a pause."""

    DRAINING = "draining"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(slots=True)
class CameraStatus:
    """Counts of one camera since the start.

    Attributes:
        camera: its id.
        phase: what it is doing.
        answers: frames answered.
        still: of those, frames that reused the last detections.
        failed_frames: of those, frames on which the model gave nonsense.
        escalations: questions sent, or queued to be.
        audits: of those, audits.
        offline: questions that were not asked, because the cloud could not be reached.
        unpaid: questions that were not asked, because the budget was spent.
        late: questions asked though their verdict was expected after the answer's deadline.
        spooled: questions kept on disk, to be asked later.
        late_verdicts: verdicts on those.
        sent_bytes: pictures of those questions, bytes.
        verdicts: answers of the cloud.
        lost: questions without an answer.
        revisions: answers that a verdict changed.
        restarts: times the camera started over.
        rate_fps: smoothed frames answered a second.
        latency_s: of the last answer, from capture to publication.
        problem: why the camera is not running; empty where it is.
        problem_of_budget: what the budget lacks for the certified threshold; empty: nothing.
        trust: what is promised, in a few words; empty where nothing is audited.
        problem_of_trust: why it is not kept; empty where nothing is known against it.
    """

    camera: str
    phase: Phase = Phase.STARTING
    answers: int = 0
    still: int = 0
    failed_frames: int = 0
    escalations: int = 0
    audits: int = 0
    offline: int = 0
    unpaid: int = 0
    late: int = 0
    spooled: int = 0
    late_verdicts: int = 0
    sent_bytes: int = 0
    verdicts: int = 0
    lost: int = 0
    revisions: int = 0
    restarts: int = 0
    rate_fps: float = 0.0
    latency_s: float = 0.0
    problem: str = ""
    problem_of_budget: str = ""
    trust: str = ""
    problem_of_trust: str = ""
    _answered_s: float | None = field(default=None, repr=False)

    def answered(self, now_s: float, latency_s: float) -> None:
        """Count an answer."""
        self.answers += 1
        self.latency_s = latency_s
        if self._answered_s is not None and now_s > self._answered_s:
            rate = 1 / (now_s - self._answered_s)
            self.rate_fps += (rate - self.rate_fps) * (_FORGET if self.rate_fps else 1)
        self._answered_s = now_s

    def summary(self) -> dict[str, object]:
        """The counts, for a log line or JSON."""
        return {
            "camera": self.camera,
            "phase": self.phase.value,
            "answers": self.answers,
            "fps": round(self.rate_fps, 1),
            "escalations": self.escalations,
            "audits": self.audits,
            "sent_kb": round(self.sent_bytes / 1000, 1),
            "verdicts": self.verdicts,
            "lost": self.lost,
            "offline": self.offline,
            "unpaid": self.unpaid,
            "late": self.late,
            "spooled": self.spooled,
            "late_verdicts": self.late_verdicts,
            "revisions": self.revisions,
            "failed_frames": self.failed_frames,
            "still": self.still,
            "restarts": self.restarts,
            **({"trust": self.trust} if self.trust else {}),
            **({"budget": self.problem_of_budget} if self.problem_of_budget else {}),
        }
