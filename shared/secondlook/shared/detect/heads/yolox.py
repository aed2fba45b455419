"""YOLOX: raw grid offsets, objectness and classes; YOLOv5 and YOLOv7 give the same, decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.shared.detect.heads.base import (
    Candidates,
    Floats,
    Output,
    check_shape,
    corners,
    strongest,
)

STRIDES = (8, 16, 32)
"""Input pixels per cell of each feature map, as nearly all these networks have them."""

MAX_LOG_SIZE = 10.0
"""e**10 strides is wider than any image; more would overflow on a hostile network."""


def cells(width: int, height: int, strides: Sequence[int]) -> int:
    """How many anchors a network of this input has, one per cell."""
    return sum((width // s) * (height // s) for s in strides)


def grid(width: int, height: int, strides: Sequence[int]) -> tuple[Floats, Floats]:
    """Column and row of each cell, float32 (anchors, 2), and its stride, float32 (anchors, 1)."""
    corners_of_maps, strides_of_maps = [], []
    for stride in strides:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        corners_of_maps.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides_of_maps.append(np.full((columns.size, 1), stride))
    return (
        np.concatenate(corners_of_maps).astype(np.float32),
        np.concatenate(strides_of_maps).astype(np.float32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class YoloxHead:
    """Output (anchors, 5 + classes): x, y, log w, log h in cells, objectness, class scores.

    Attributes:
        anchors: float32 (anchors, 2), column and row of each cell.
        strides: float32 (anchors, 1), input pixels per cell.
        classes: length of the class list.
    """

    anchors: Floats
    strides: Floats
    classes: int
    name: str = "yolox"
    suppressed: bool = False

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        check_shape(self.name, raw, (len(self.anchors), 5 + self.classes))
        rows, scores, classes = objects(raw, min_score)
        strides = self.strides[rows]
        centres = (raw[rows, :2] + self.anchors[rows]) * strides
        sizes = np.exp(np.minimum(raw[rows, 2:4], MAX_LOG_SIZE)) * strides
        return Candidates(corners(centres, sizes), scores, classes)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedHead:
    """Output (anchors, 5 + classes): cx, cy, w, h in input pixels, objectness, class scores.

    YOLOv5, YOLOv7, and YOLOX exported with ``--decode_in_inference``.
    """

    classes: int
    name: str = "yolov5"
    suppressed: bool = False

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        check_shape(self.name, raw, (None, 5 + self.classes))
        rows, scores, classes = objects(raw, min_score)
        return Candidates(corners(raw[rows, :2], raw[rows, 2:4]), scores, classes)


def objects(
    raw: Output, min_score: float
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.intp]], Floats, np.ndarray[tuple[int], np.dtype[np.int32]]
]:
    """Rows, scores and classes of the anchors whose objectness times best class suffices."""
    objectness = raw[:, 4]
    # A class score is at most 1: nothing below in objectness alone can pass, and few rows remain.
    rows = np.flatnonzero(objectness >= min_score)
    of_classes = raw[rows, 5:]
    classes = of_classes.argmax(axis=1)
    scores = objectness[rows] * of_classes[np.arange(len(rows)), classes]
    kept = strongest(scores, min_score)
    return rows[kept], scores[kept], classes[kept].astype(np.int32)
