"""What one system said about each frame, when, and what it sent for that."""

from __future__ import annotations

from dataclasses import dataclass, field

from secondlook.cli.price.ways import WayLog
from secondlook.shared.measure import Traffic
from secondlook.shared.values import Detections


@dataclass(slots=True, eq=False)
class FrameAnswer:
    """What a system said about one frame.

    Attributes:
        first: what it said first.
        first_s: seconds from capture to that.
        final: what stood when all verdicts were in.
        final_s: seconds from capture to the last revision; ``first_s`` where there was none.
    """

    first: Detections
    first_s: float
    final: Detections
    final_s: float

    @classmethod
    def once(cls, detections: Detections, latency_s: float) -> FrameAnswer:
        """An answer that nothing will revise."""
        return cls(detections, latency_s, detections, latency_s)

    def revise(self, detections: Detections, latency_s: float) -> None:
        """Something later changed it."""
        self.final, self.final_s = detections, latency_s


@dataclass(slots=True, eq=False)
class Ledger:
    """Everything about one system over a clip.

    Attributes:
        name: of the system, as in the JSON.
        answers: one for each frame, in order.
        escalations: questions sent to the cloud.
        inferences: pictures the heavy model looked at.
        failures: questions that got no verdict.
        traffic: what passed between the tiers.
        unpaid: questions that were not asked, because the budget was spent.
        up_bytes: what went up while each frame was worked on; the sum is ``traffic.up``. Empty
            where frames were not worked on one after the other.
        ways: what the self-test of the site did; ``None`` where it took no part.
    """

    name: str
    answers: list[FrameAnswer] = field(default_factory=list)
    escalations: int = 0
    inferences: int = 0
    failures: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    unpaid: int = 0
    up_bytes: list[int] = field(default_factory=list)
    ways: WayLog | None = None

    def passed(self, traffic: Traffic) -> None:
        """A frame is done, and so much has passed since the beginning."""
        self.up_bytes.append(traffic.up - self.traffic.up)
        self.traffic = traffic

    def settle(self, traffic: Traffic) -> None:
        """The clip is over; what still passed goes to the last frame."""
        if self.up_bytes:
            self.up_bytes[-1] += traffic.up - self.traffic.up
        self.traffic = traffic
