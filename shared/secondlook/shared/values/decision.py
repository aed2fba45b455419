"""What the gate decided about one frame, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from secondlook.shared.errors import InvalidInput


class Purpose(str, Enum):
    """Why the cloud is asked."""

    UNSURE = "unsure"
    """The evidence says the edge may be wrong here."""

    AUDIT = "audit"
    """A coin chose the frame, not its content: this measures the edge."""

    REFRESH = "refresh"
    """A verdict that has aged is asked again."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the native frame that is asked about.

    Attributes:
        x, y: top-left corner, whole pixels of the native frame.
        width, height: size, whole pixels, at least 1.
        reason: why, in a few plain words ("score 0.31 of person lies in the band").

    Raises:
        InvalidInput: a negative corner or an empty size.
    """

    x: int
    y: int
    width: int
    height: int
    reason: str = ""

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise InvalidInput(
                f"region {self.width}x{self.height}+{self.x}+{self.y} is empty or outside the frame"
            )

    @property
    def area(self) -> int:
        """Square pixels."""
        return self.width * self.height

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """The corners, x1 y1 x2 y2, exclusive at the far side."""
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True, slots=True)
class Decision:
    """May the edge's answer stand?

    Attributes:
        regions: what to ask about; empty where the answer stands.
        purpose: why, for the whole escalation.
        reasons: the gate's reasons in plain words, also when nothing is asked.
    """

    regions: tuple[Region, ...] = ()
    purpose: Purpose = Purpose.UNSURE
    reasons: tuple[str, ...] = ()

    @property
    def escalate(self) -> bool:
        """Whether anything goes to the cloud."""
        return bool(self.regions)
