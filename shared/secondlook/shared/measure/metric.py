"""The two metrics of every comparison: classes of interest without double labels, and all raw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.geometry import suppress
from secondlook.shared.measure.matching import MATCH_IOU, Counts, match
from secondlook.shared.values import Detections

STREET_CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "bottle")
"""The default classes of interest."""

DEDUPE_IOU = 0.7
"""Boxes that overlap by more than this are two labels of one object, whatever their classes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How two sets of boxes are compared.

    Attributes:
        classes: the class names that count; ``None``: all.
        dedupe_iou: overlap above which the weaker of two boxes is a second label of the same
            object and goes, whatever its class; ``None``: boxes stay as they are.
        match_iou: least overlap of a prediction with the object it is taken for.
    """

    classes: tuple[str, ...] | None = STREET_CLASSES
    dedupe_iou: float | None = DEDUPE_IOU
    match_iou: float = MATCH_IOU

    def prepare(self, detections: Detections) -> Detections:
        """The boxes that count, as this metric sees them."""
        kept = detections if self.classes is None else detections.of_classes(self.classes)
        return kept if self.dedupe_iou is None else without_double_labels(kept, self.dedupe_iou)

    def compare(self, predictions: Detections, reference: Detections) -> Counts:
        """Agreement with another model: both sides are prepared alike."""
        return match(
            self.prepare(predictions), self.prepare(reference), iou_threshold=self.match_iou
        ).counts

    def compare_with_truth(
        self,
        predictions: Detections,
        truth: Detections,
        ignore: npt.NDArray[np.bool_] | None = None,
    ) -> Counts:
        """Errors against the truth, whose boxes are never double labels and all stay.

        Args:
            predictions: what was said.
            truth: what is there.
            ignore: bool (len(truth),), objects too small or hidden to be counted.
        """
        counted = np.ones(len(truth), bool)
        if self.classes is not None:
            known = np.array([name in self.classes for name in truth.names], bool)
            counted = known[truth.classes] if len(truth) else counted
        return match(
            self.prepare(predictions),
            truth.select(counted),
            ignore=None if ignore is None else ignore[counted],
            iou_threshold=self.match_iou,
        ).counts


ALL_CLASSES = Metric(classes=None, dedupe_iou=None)
"""Every class, raw: it rewards copying the reference's false alarms, so it is never alone."""


def without_double_labels(detections: Detections, iou_threshold: float = DEDUPE_IOU) -> Detections:
    """The boxes left when the weaker of two that overlap goes, whatever the classes."""
    if len(detections) < 2:
        return detections
    return detections.select(suppress(detections.boxes, detections.scores, iou_threshold))


def classes_of_interest(asked: Sequence[str] | None, *known: Sequence[str]) -> tuple[str, ...]:
    """The class names to measure on, given what the models know.

    Args:
        asked: what the user wants; ``None`` for the street set, or, where no model knows any of
            that, for all classes that every model knows.
        known: class list of each model.

    Raises:
        InvalidInput: the models share no class, or none of them knows a class that was asked for.
    """
    shared = [name for name in known[0] if all(name in names for names in known[1:])]
    if not shared:
        raise InvalidInput(
            "the models have no class in common: "
            + " against ".join(_listed(names) for names in known),
            remedy="use models trained on the same classes, or name the classes in a sidecar file",
        )
    if asked is None:
        return tuple(name for name in STREET_CLASSES if name in shared) or tuple(shared)
    wanted = tuple(dict.fromkeys(name.strip() for name in asked if name.strip()))
    unknown = [name for name in wanted if name not in shared]
    if unknown or not wanted:
        what = ", ".join(repr(name) for name in unknown) or "an empty list"
        raise InvalidInput(f"unknown class {what}; both models know: {', '.join(shared)}")
    return wanted


def _listed(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"[{shown}, ... {len(names)} in all]" if len(names) > most else f"[{shown}]"
