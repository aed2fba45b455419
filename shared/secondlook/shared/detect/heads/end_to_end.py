"""Networks that suppress by themselves: YOLOv10 and YOLO26, RT-DETR and its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.shared.detect.heads.base import (
    Candidates,
    Output,
    check_shape,
    class_indices,
    corners,
    strongest,
)

NOTHING = float(np.finfo(np.float32).tiny)
"""These heads fill unused rows with zeros, so a score of 0 is no box, whatever is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class EndToEndHead:
    """Output (n, 6): x1, y1, x2, y2 in input pixels, score, class (YOLOv10, YOLO26)."""

    classes: int
    name: str = "end2end"
    suppressed: bool = True

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        check_shape(self.name, raw, (None, 6))
        kept = raw[strongest(raw[:, 4], max(min_score, NOTHING))]
        classes = class_indices(self.name, kept[:, 5], self.classes)
        return Candidates(kept[:, :4].astype(np.float32), kept[:, 4], classes)


@dataclass(frozen=True, slots=True, eq=False)
class RtdetrHead:
    """Output (n, 4 + classes): cx, cy, w, h as shares of the input, class scores.

    RT-DETR as ultralytics exported it until 2026.

    Attributes:
        classes: length of the class list.
        width, height: size of the network's input, pixels.
    """

    classes: int
    width: int
    height: int
    name: str = "rtdetr"
    suppressed: bool = True

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        check_shape(self.name, raw, (None, 4 + self.classes))
        best = raw[:, 4:].max(axis=1)
        kept = strongest(best, min_score)
        classes = raw[kept, 4:].argmax(axis=1).astype(np.int32)
        size = np.array([self.width, self.height], np.float32)
        boxes = corners(raw[kept, 0:2] * size, raw[kept, 2:4] * size)
        return Candidates(boxes, best[kept], classes)


@dataclass(frozen=True, slots=True, eq=False)
class RtdetrTopkHead:
    """Output (n, 6): cx, cy, w, h as shares of the input, score, class.

    RT-DETR as ultralytics exports it now: the shape of ``end2end`` with another meaning, so that
    only a declaration can tell the two apart; ultralytics writes one.

    Attributes:
        classes: length of the class list.
        width, height: size of the network's input, pixels.
    """

    classes: int
    width: int
    height: int
    name: str = "rtdetr_topk"
    suppressed: bool = True

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        raw = outputs[0]
        check_shape(self.name, raw, (None, 6))
        kept = raw[strongest(raw[:, 4], max(min_score, NOTHING))]
        size = np.array([self.width, self.height], np.float32)
        boxes = corners(kept[:, 0:2] * size, kept[:, 2:4] * size)
        return Candidates(boxes, kept[:, 4], class_indices(self.name, kept[:, 5], self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class DetrTripleHead:
    """Outputs labels (n,), boxes (n, 4) xyxy, scores (n,) (RT-DETR, RT-DETRv2, D-FINE).

    The network is given the input's own size as ``orig_target_sizes``, so that its boxes are in
    input pixels, as those of every other head.

    Attributes:
        classes: length of the class list.
        labels, boxes, scores: which output is which.
    """

    classes: int
    labels: int = 0
    boxes: int = 1
    scores: int = 2
    name: str = "detr_triple"
    suppressed: bool = True

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """See `Head.candidates`."""
        labels, boxes = outputs[self.labels], outputs[self.boxes]
        scores = outputs[self.scores]
        check_shape(self.name, scores, (None,))
        check_shape(self.name, labels, (len(scores),))
        check_shape(self.name, boxes, (len(scores), 4))
        kept = strongest(scores, max(min_score, NOTHING))
        classes = class_indices(self.name, labels[kept], self.classes)
        return Candidates(boxes[kept].astype(np.float32), scores[kept], classes)
