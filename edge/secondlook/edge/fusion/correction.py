"""How far the light model's box is from the cloud's, in a form that travels along a track.

A light model that is unsure of an object is often unsure of its border too, and in the same way
from frame to frame. What a verdict corrected once is therefore corrected on the later frames of
the track too, in proportion to the box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Box = npt.NDArray[np.float32]
"""float32 (4,), xyxy, pixels."""

NO_CORRECTION: Box = np.zeros(4, np.float32)


def correction(edge: Box, cloud: Box) -> Box:
    """float32 (4,): what moves each side of ``edge`` onto ``cloud``, in widths and heights of it.

    A box without an area cannot be corrected in proportion: zeros.
    """
    sides = _sides(edge)
    if not (sides > 0).all():
        return NO_CORRECTION
    moved: Box = (cloud - edge) / sides
    return moved


def corrected(boxes: Box, by: Box) -> Box:
    """``boxes``, float32 (..., 4), with their sides moved by as many corrections.

    Never inside out, since corrections keep their order.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    moved: Box = boxes + by * np.concatenate([sides, sides], axis=-1)
    return moved


def _sides(box: Box) -> Box:
    width, height = box[2] - box[0], box[3] - box[1]
    return np.array([width, height, width, height], np.float32)
