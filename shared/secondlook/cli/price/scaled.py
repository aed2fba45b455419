"""Frames at the width that the heavy model takes: what it would throw away need not travel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.regions import Canonical
from secondlook.shared.values import Detections

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scaling:
    """To the canonical frame and back.

    Attributes:
        frame: the native and the canonical size.
    """

    frame: Canonical

    @classmethod
    def of(cls, width: int, height: int, width_px: int | None) -> Scaling:
        """For native frames of that size.

        Args:
            width, height: native size, pixels.
            width_px: width that is sent, where the native one is larger; ``None``: as it is.
        """
        return cls(Canonical.of(width, height, width if width_px is None else width_px))

    @property
    def same(self) -> bool:
        """Whether nothing changes."""
        frame = self.frame
        return (frame.width, frame.height) == (frame.native_width, frame.native_height)

    def down(self, image: Image) -> Image:
        """uint8 (height, width, 3): the canonical picture of a native one; not a copy if equal."""
        if self.same:
            return image
        size = (self.frame.width, self.frame.height)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def back(self, detections: Detections) -> Detections:
        """Boxes in the canonical picture as boxes in the native frame."""
        if self.same:
            return detections
        frame = self.frame
        across, down = frame.native_width / frame.width, frame.native_height / frame.height
        factor = np.array([across, down, across, down], np.float32)
        return detections.with_boxes(detections.boxes * factor)
