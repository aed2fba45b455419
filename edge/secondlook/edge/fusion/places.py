"""Verdicts about places: what was known about a track that was lost, for the next one there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, difference
from secondlook.edge.fusion.belief import Belief
from secondlook.shared.geometry import iou

SAME_PLACE_IOU = 0.5
"""Boxes that overlap by as much are at the same place."""
MAX_PLACES = 256
"""Most places about which a camera's pipeline remembers something."""


def same_place(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    """Whether two boxes, float32 (4,), overlap by half. Plain floats: arrays cost 20 times more."""
    a1, b1, a2, b2 = a.tolist()
    c1, d1, c2, d2 = b.tolist()
    width, height = min(a2, c2) - max(a1, c1), min(b2, d2) - max(b1, d1)
    if width <= 0 or height <= 0:
        return False
    shared: float = width * height
    union: float = (a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared
    return shared >= SAME_PLACE_IOU * union


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Where a track was last, and how that looked.

    Attributes:
        box: float32 (4,), pixels of the native frame.
        look: thumbnail of that frame.
        frame_width: width of that frame, pixels.
    """

    box: npt.NDArray[np.float32]
    look: Thumbnail
    frame_width: int

    def unchanged(self, now: Thumbnail, same_levels: float) -> bool:
        """Whether the place still looks as it did."""
        return difference(self.look, now, self.box, self.frame_width) <= same_levels


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What was believed about a place, and until when (stream time) it may be taken up again."""

    sight: Sight
    belief: Belief
    until_s: float


class Places:
    """What was believed about tracks that are gone, by place. Bounded."""

    def __init__(self, same_levels: float) -> None:
        self._same_levels = same_levels
        self._known: deque[_Known] = deque(maxlen=MAX_PLACES)
        self._boxes: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, sight: Sight, belief: Belief, until_s: float | None = None) -> None:
        """Keep what was believed about a track that is gone.

        Args:
            sight: where it was, and how that looked.
            belief: what was believed.
            until_s: stream time until which a new track may take it up; default: while it holds.
        """
        until_s = belief.until_s if until_s is None else until_s
        self._known.append(_Known(sight, belief, until_s))
        self._boxes = None

    def take(self, box: npt.NDArray[np.float32], now: Thumbnail, time_s: float) -> Belief | None:
        """What is known about the place of a new track; it is given once.

        Args:
            box: float32 (4,), the new track's box.
            now: thumbnail of the frame.
            time_s: stream time; beliefs that no longer hold are let go.
        """
        while self._known and self._known[0].until_s < time_s:
            self._known.popleft()
            self._boxes = None
        if not self._known:
            return None
        if self._boxes is None:
            self._boxes = np.stack([known.sight.box for known in self._known])
        near = np.flatnonzero(iou(box[None], self._boxes)[0] >= SAME_PLACE_IOU)
        for index in near[::-1].tolist():
            known = self._known[index]
            if known.until_s >= time_s and known.sight.unchanged(now, self._same_levels):
                del self._known[index]
                self._boxes = None
                return known.belief
        return None
