"""Objects of chosen classes made unrecognisable, before any picture is encoded.

What the light model does not see is not blurred: its boxes count from the weakest one on that it
gives (`detector.min_score`), whatever the tracker or a verdict calls them later.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.fusion.history import Entry
from secondlook.edge.pipeline_settings import PrivacySettings
from secondlook.shared.geometry import Boxes
from secondlook.shared.values import Detections

_BORDER = 0.1
"""Border that is blurred too, as a share of a box: hair, hands, what the box cuts off."""

Image = npt.NDArray[np.uint8]


class Veil:
    """Blurs the objects of one camera's frames.

    Args:
        settings: what, and how much.
    """

    def __init__(self, settings: PrivacySettings) -> None:
        self._classes = settings.blur_classes
        self._patches = settings.blur_patches
        self._sequence = -1
        self._boxes: Boxes = np.empty((0, 4), np.float32)
        self._veiled: tuple[Image, int] | None = None

    def see(self, detections: Detections, entry: Entry) -> None:
        """Note where the objects of a frame are.

        Args:
            detections: all that the light model said.
            entry: the frame; its tracks may have learned their class from others.
        """
        found = [detections.of_classes(self._classes).boxes]
        tracked = entry.tracked
        found.append(tracked.of_classes(self._classes).boxes)
        hidden = {
            track_id
            for track_id, belief in entry.beliefs.items()
            if not belief.refuted and tracked.names[belief.class_index] in self._classes
        }
        found.append(tracked.boxes[[int(t) in hidden for t in tracked.track_ids]])
        unseen = [item.box for item in entry.unseen if item.track_id in hidden]
        found += [np.stack(unseen)] if unseen else []
        self._sequence = entry.frame.sequence
        # A box, its track and its verdict are one object.
        self._boxes = np.unique(np.concatenate(found), axis=0)
        self._veiled = None

    def over(self, image: Image, sequence: int) -> tuple[Image, int]:
        """The picture without what is not to be recognised.

        Args:
            image: uint8 (height, width, 3), BGR; not written to.
            sequence: the frame. Of any but the last one that was seen nothing is known: all of
                it is blurred.

        Returns:
            ``image`` itself where there is nothing to blur, else a copy, the same one whoever asks
            for this frame: it is read only. And how many boxes were blurred.
        """
        if self._veiled is not None and sequence == self._sequence:
            return self._veiled
        height, width = image.shape[:2]
        boxes = self._boxes
        if sequence != self._sequence:
            boxes = np.array([[0, 0, width, height]], np.float32)
        if not len(boxes):
            return image, 0
        out = image.copy()
        for box in boxes:
            _blur(out, box, self._patches)
        if sequence == self._sequence:
            self._veiled = out, len(boxes)
        return out, len(boxes)


def _blur(image: Image, box: npt.NDArray[np.float32], patches: int) -> None:
    """Replace a box and its border by patches of one colour each, in place."""
    height, width = image.shape[:2]
    border = (box[2:] - box[:2]) * _BORDER
    left, top = (max(0, int(value)) for value in np.floor(box[:2] - border))
    right, bottom = np.ceil(box[2:] + border)
    right, bottom = min(width, int(right)), min(height, int(bottom))
    if right <= left or bottom <= top:
        return
    place = image[top:bottom, left:right]
    down, across = place.shape[:2]
    side = max(1, round(max(across, down) / patches))
    small = (max(1, round(across / side)), max(1, round(down / side)))
    means = cv2.resize(place, small, interpolation=cv2.INTER_AREA)
    place[:] = cv2.resize(means, (across, down), interpolation=cv2.INTER_NEAREST)
