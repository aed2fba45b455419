"""The ways in which a camera can work."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """One way of working."""

    EDGE = "edge"
    """The edge's answers stand; the cloud sees audits alone."""

    MOSAIC = "mosaic"
    """What the gate chooses goes as pictures of their own."""

    CANVAS = "canvas"
    """What the gate chooses goes as updates of a canvas."""

    FULL = "full"
    """Every analysed frame goes whole, as an update of a canvas, as far as the budget allows."""

    @property
    def gated(self) -> bool:
        """Whether the gate decides what is asked."""
        return self in (Mode.MOSAIC, Mode.CANVAS)
