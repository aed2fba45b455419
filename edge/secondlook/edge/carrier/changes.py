"""How much each block of a canvas changes from one question to the next.

A parked car is asked about again for a few bytes, a car that drives for hundreds: what a region
will cost depends on where it is. Nothing is looked at but what was pasted there before.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.shared.values.canvas import BLOCK_PX, Blocks

_KEEP = 0.5
"""Weight of what was known of a block, once it is pasted again."""
_STILL_LEVELS = 0.5
"""What a block costs that has not changed, in grey levels of change."""
_UNKNOWN_LEVELS = 6.0
"""Change of a block that was never pasted, where no other was either."""


class Changes:
    """Mean change of each block, grey levels.

    Args:
        width, height: size of the canvas, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        shape = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
        self._levels = np.zeros(shape, np.float32)
        self._known = np.zeros(shape, bool)
        self._usual = _UNKNOWN_LEVELS

    def pasted(
        self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], x: int, y: int
    ) -> None:
        """New pixels take the place of old ones.

        Args:
            before, after: uint8 (h, w), luma of one rectangle.
            x, y: its top-left corner on the canvas, pixels, on the grid.
        """
        across, down = -(-before.shape[1] // BLOCK_PX), -(-before.shape[0] // BLOCK_PX)
        difference = cv2.absdiff(before, after).astype(np.float32)
        found = cv2.resize(difference, (across, down), interpolation=cv2.INTER_AREA)
        place = np.s_[y // BLOCK_PX :, x // BLOCK_PX :]
        levels = self._levels[place][:down, :across]
        known = self._known[place][:down, :across]
        levels[:] = np.where(known, _KEEP * levels + (1 - _KEEP) * found, found)
        known[:] = True
        self._usual = _KEEP * self._usual + (1 - _KEEP) * float(found.mean())

    def work(self, rectangles: tuple[Blocks, ...]) -> float:
        """What pasting these rectangles will probably change, blocks x grey levels.

        Args:
            rectangles: in blocks; none for the whole canvas.
        """
        if not rectangles:
            rectangles = ((0, 0, self._levels.shape[1], self._levels.shape[0]),)
        total = 0.0
        for x, y, across, down in rectangles:
            levels = self._levels[y : y + down, x : x + across]
            known = self._known[y : y + down, x : x + across]
            total += float(np.where(known, levels, self._usual).sum())
            total += _STILL_LEVELS * levels.size
        return total
