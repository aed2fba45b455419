"""Boxes on a picture: what the edge said, and what the cloud corrected."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.shared.geometry import iou
from secondlook.shared.values import Detections

EDGE_COLOUR = (80, 200, 80)
"""BGR: the edge's box stands."""
CORRECTED_COLOUR = (40, 140, 255)
"""BGR: a verdict brought the box or changed it."""
REMOVED_COLOUR = (90, 90, 230)
"""BGR: a verdict took the box away."""

_SAME_IOU = 0.9


def draw(
    picture: npt.NDArray[np.uint8], answer: Detections, final: Detections, scale: float
) -> None:
    """Draw into ``picture``.

    Args:
        picture: uint8 (height, width, 3), BGR; written to.
        answer: what the edge said at once.
        final: what stands.
        scale: pixels of the picture to one of the native frame.
    """
    said = iou(final.boxes, answer.boxes) >= _SAME_IOU
    names, answer_names = final.class_names(), answer.class_names()
    for i, name in enumerate(names):
        same = any(said[i, j] and answer_names[j] == name for j in range(len(answer)))
        label = f"{name} {final.scores[i]:.2f}"
        _box(picture, final.boxes[i], EDGE_COLOUR if same else CORRECTED_COLOUR, label, scale)
    gone = iou(answer.boxes, final.boxes).max(axis=1, initial=0) < 0.3
    for j in np.flatnonzero(gone):
        _box(picture, answer.boxes[j], REMOVED_COLOUR, f"not {answer_names[j]}", scale, thin=True)


def caption(picture: npt.NDArray[np.uint8], text: str) -> None:
    """Write a line into the top-left corner."""
    cv2.putText(picture, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(
        picture, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA
    )


def _box(
    picture: npt.NDArray[np.uint8],
    box: npt.NDArray[np.float32],
    colour: tuple[int, int, int],
    label: str,
    scale: float,
    *,
    thin: bool = False,
) -> None:
    left, top, right, bottom = (round(float(value) * scale) for value in box)
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 1 if thin else 2)
    place = (left, top - 4 if top > 14 else bottom + 12)
    cv2.putText(picture, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
