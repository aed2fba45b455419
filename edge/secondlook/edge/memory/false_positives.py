"""Places where the light model keeps seeing what the cloud keeps refuting."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, difference
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.places import MAX_PLACES, SAME_PLACE_IOU
from secondlook.shared.geometry import iou


class FalsePositives:
    """The known ones of a camera, at one frame size. Bounded; the oldest goes.

    Args:
        same_levels: largest difference in grey levels of a place that has not changed.
        frame_width: width of the native frames, pixels.
    """

    def __init__(self, same_levels: float, frame_width: int) -> None:
        self._same_levels = same_levels
        self._frame_width = frame_width
        self._known: OrderedDict[str, Belief] = OrderedDict()
        self._beliefs: list[Belief] = []
        self._boxes: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def add(self, belief: Belief) -> None:
        """Know a place by the key of its belief, which is refuted and holds for long."""
        self._known.pop(belief.key, None)
        self._known[belief.key] = belief
        while len(self._known) > MAX_PLACES:
            self._known.popitem(last=False)
        self._boxes = None

    def find(self, box: npt.NDArray[np.float32], now: Thumbnail, time_s: float) -> Belief | None:
        """What is known about a place that looks as it did.

        Args:
            box: float32 (4,), pixels of the native frame.
            now: thumbnail of the frame.
            time_s: stream time.
        """
        for belief in reversed(self._at(box)):
            if belief.until_s >= time_s and self._unchanged(belief, now):
                return belief
        return None

    def contradicted(self, said: Belief) -> list[str]:
        """Forget what a verdict has shown to be wrong: something is there, and it looks the same.

        Returns:
            The keys of what is forgotten.
        """
        wrong = [b.key for b in self._at(said.box) if self._unchanged(b, said.look)]
        for key in wrong:
            del self._known[key]
            self._boxes = None
        return wrong

    def _at(self, box: npt.NDArray[np.float32]) -> list[Belief]:
        """What is known about places that overlap a box by half, the oldest first."""
        if not self._known:
            return []
        if self._boxes is None:
            self._beliefs = list(self._known.values())
            self._boxes = np.stack([belief.box for belief in self._beliefs])
        near = np.flatnonzero(iou(box[None], self._boxes)[0] >= SAME_PLACE_IOU)
        return [self._beliefs[index] for index in near.tolist()]

    def _unchanged(self, belief: Belief, now: Thumbnail) -> bool:
        levels = difference(belief.look, now, belief.box, self._frame_width)
        return levels <= self._same_levels
