"""YOLOv8 and YOLO11: boxes in pixels and one score per class, no objectness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.shared.detect.heads.base import (
    Candidates,
    Output,
    check_shape,
    corners,
    strongest,
)


@dataclass(frozen=True, slots=True, eq=False)
class Yolov8Head:
    """Output (4 + classes, anchors): cx, cy, w, h in input pixels, then class scores.

    Attributes:
        classes: length of the class list.
        anchors_first: the output is (anchors, 4 + classes) instead.
    """

    classes: int
    anchors_first: bool = False
    name: str = "yolov8"
    suppressed: bool = False

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        rows = 4 + self.classes
        check_shape(self.name, raw, (None, rows) if self.anchors_first else (rows, None))
        raw = raw.T if self.anchors_first else raw
        best = raw[4:].max(axis=0)
        kept = strongest(best, min_score)
        classes = raw[4:, kept].argmax(axis=0).astype(np.int32)
        boxes = corners(raw[0:2, kept].T, raw[2:4, kept].T)
        return Candidates(boxes, best[kept], classes)
