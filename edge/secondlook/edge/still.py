"""Frames in which nothing moved need no detector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, is_still, thumbnail
from secondlook.edge.pipeline_settings import MotionSettings


class MotionFilter:
    """Compares each frame with the last one that was detected on.

    Comparing with that one, not with the previous frame, catches slow change too.
    """

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        self._detected_on: Thumbnail | None = None
        self._skipped = 0

    def skips(self, image: npt.NDArray[np.uint8]) -> bool:
        """Whether the detector may be skipped for this frame.

        Args:
            image: uint8 (height, width, 3), BGR.
        """
        if not self._settings.enabled:
            return False
        look = thumbnail(image, self._settings.width_px)
        if self._skipped < self._settings.max_skip and is_still(
            self._detected_on, look, self._settings
        ):
            self._skipped += 1
            return True
        self._detected_on, self._skipped = look, 0
        return False
