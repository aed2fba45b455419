"""Which predicted box is which object: greedy by score, class-aware, with boxes that do not count.

One rule for every number the project publishes: predictions take turns, best score first; each
takes the free object of its own class that it overlaps most, if the overlap is at least 0.5. What
is left over is a false positive or a miss, unless it lies on something too small or too hidden to
be counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.geometry import iou
from secondlook.shared.values import Detections

MATCH_IOU = 0.5
"""Least intersection over union of a prediction with the object it is taken for."""

UNMATCHED = -1


@dataclass(frozen=True, slots=True)
class Counts:
    """Matches and errors, summed over as many frames as you like (micro-average).

    Attributes:
        true_positives: predictions that are an object.
        false_positives: predictions that are none.
        false_negatives: objects that no prediction is.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def recall(self) -> float:
        """Share of the objects that were found, 0 to 1; 1 where there were none."""
        objects = self.true_positives + self.false_negatives
        return self.true_positives / objects if objects else 1.0

    @property
    def precision(self) -> float:
        """Share of the predictions that were right, 0 to 1; 1 where there were none."""
        predictions = self.true_positives + self.false_positives
        return self.true_positives / predictions if predictions else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0 to 1; 1 where nothing was there or said."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """What became of each box of one frame.

    Attributes:
        partner: int64 (predictions,), row of the object that a prediction is, or ``UNMATCHED``.
        neutral: bool (predictions,), predictions that count neither as right nor as wrong.
        missed: bool (objects,), objects that count and that no prediction is.
    """

    partner: npt.NDArray[np.int64]
    neutral: npt.NDArray[np.bool_]
    missed: npt.NDArray[np.bool_]

    @property
    def counts(self) -> Counts:
        """The frame in three numbers."""
        wrong = (self.partner == UNMATCHED) & ~self.neutral
        right = (self.partner != UNMATCHED) & ~self.neutral
        return Counts(int(right.sum()), int(wrong.sum()), int(self.missed.sum()))


def match(
    predictions: Detections,
    objects: Detections,
    *,
    ignore: npt.NDArray[np.bool_] | None = None,
    iou_threshold: float = MATCH_IOU,
) -> Matching:
    """Match the predictions of one frame with its objects.

    Classes are compared by name: the two sides may come from models with different class lists.

    Args:
        predictions: what was said.
        objects: what is there, or what the reference said.
        ignore: bool (len(objects),), objects that do not count: missing them is no miss, and
            predicting them (any number of times) is no false alarm.
        iou_threshold: least overlap, above 0 and at most 1.

    Raises:
        InvalidInput: ``ignore`` has another length, or the threshold is out of range.
    """
    n, m = len(predictions), len(objects)
    if not 0 < iou_threshold <= 1:
        raise InvalidInput(f"iou_threshold is {iou_threshold:g}; above 0 and at most 1 expected")
    ignored = np.zeros(m, bool) if ignore is None else ignore
    if ignored.shape != (m,):
        raise InvalidInput(f"ignore has shape {ignored.shape}; ({m},) expected")
    partner = np.full(n, UNMATCHED, np.int64)
    neutral = np.zeros(n, bool)
    free = ~ignored
    if n and m:
        overlap = iou(predictions.boxes, objects.boxes)
        overlap[~_same_class(predictions, objects)] = 0
        for row in np.argsort(-predictions.scores, kind="stable"):
            candidates = np.where(free, overlap[row], 0)
            best = int(candidates.argmax())
            if candidates[best] >= iou_threshold:
                partner[row] = best
                free[best] = False
            elif (overlap[row, ignored] >= iou_threshold).any():
                neutral[row] = True
    return Matching(partner, neutral, free)


def _same_class(a: Detections, b: Detections) -> npt.NDArray[np.bool_]:
    """bool (len(a), len(b)), whether the class names are equal."""
    index = {name: i for i, name in enumerate(a.names)}
    table = np.array([index.get(name, -1) for name in b.names], np.int64)
    same: npt.NDArray[np.bool_] = a.classes[:, None] == table[b.classes][None, :]
    return same
