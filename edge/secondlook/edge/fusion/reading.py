"""What a verdict says about the boxes of the frame it was asked about. A pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.edge.pipeline_settings import FusionSettings
from secondlook.edge.track.association import assign
from secondlook.shared.geometry import Boxes, clip, coverage, iou
from secondlook.shared.measure.metric import without_double_labels
from secondlook.shared.values import Detections, FrameRef, Region

_INSIDE = 0.9
"""Share of a box that must lie in a region for the verdict to speak about it."""
_OTHER_CLASS_IOU = 0.6
"""Overlap from which two boxes of different classes are taken for one object."""
_DOUBLE_IOU = 0.5
"""Overlap from which a box that no object was left for lies on one that another box has."""
_CUT_PX = 2.0
"""A box that comes this near to a region's inner border may be cut off there."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Objects that earlier verdicts have found.

    Attributes:
        boxes: float32 (n, 4), where they are in the frame.
        classes: int (n,), what they are.
    """

    boxes: Boxes
    classes: npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A verdict, read against the boxes of its frame.

    Attributes:
        seen: pairs (row of the edge's boxes, row of ``verdict``) that are the same object.
        refuted: rows of the edge's boxes where the cloud saw nothing.
        doubles: rows of the edge's boxes that lie on an object which another row is.
        new: rows of ``verdict`` that the edge did not see, of which the cloud is sure.
        cut: bool, for each row of ``verdict``: whether it may be cut off by a region's border.
        verdict: the cloud's boxes that count.
    """

    seen: tuple[tuple[int, int], ...]
    refuted: tuple[int, ...]
    doubles: tuple[int, ...]
    new: tuple[int, ...]
    cut: npt.NDArray[np.bool_]
    verdict: Detections


def read(
    edge: Detections,
    verdict: Detections,
    regions: tuple[Region, ...],
    frame: FrameRef,
    settings: FusionSettings,
    known: Known | None = None,
) -> Reading:
    """Match the cloud's boxes with the edge's; a verdict speaks for its regions only.

    What travels has lost detail, so the heavy model's score wavers about what it would say of the
    frame itself. Of an object that earlier verdicts have found it need not be as sure as of one
    that nobody has seen yet.

    Args:
        edge: boxes of the frame.
        verdict: the cloud's.
        regions: what it speaks about.
        frame: which frame.
        settings: thresholds.
        known: objects that earlier verdicts have found; ``None``: none.
    """
    # The cloud is trusted with judgement, not with arithmetic.
    inside = verdict.with_boxes(clip(verdict.boxes, frame.width, frame.height))
    verdict = inside.select(inside.areas() >= 1)
    places = np.array([region.xyxy for region in regions], np.float32).reshape(-1, 4)
    verdict = verdict.select(_centred_in(verdict.boxes, places))
    counted = without_double_labels(verdict.select(_counts(verdict, known, settings)))
    spoken = coverage(edge.boxes, places).max(axis=1, initial=0) >= _INSIDE
    overlap = iou(edge.boxes, counted.boxes)
    # A wrong class is what a verdict is for; but what someone carries is another object, not them.
    same = edge.classes[:, None] == counted.classes[None, :]
    least = np.where(same, settings.match_iou, max(settings.match_iou, _OTHER_CLASS_IOU))
    likeness = np.where(overlap >= least, overlap + 0.1 * same, 0)
    rows, columns = assign(likeness.astype(np.float32), settings.match_iou)
    matched = np.zeros(len(edge), bool)
    matched[rows] = True
    # A second box on an object that was found is neither refuted nor new: it says the same.
    double = overlap.max(axis=1, initial=0) >= _DOUBLE_IOU
    refuted = np.flatnonzero(spoken & ~matched & ~double)
    cut = _cut(counted.boxes, places, frame)
    fresh = np.ones(len(counted), bool)
    fresh[columns] = False
    sure = counted.scores >= settings.verdict_score
    return Reading(
        tuple(zip(rows.tolist(), columns.tolist(), strict=True)),
        tuple(refuted.tolist()),
        tuple(np.flatnonzero(spoken & ~matched & double).tolist()),
        tuple(np.flatnonzero(fresh & ~cut & sure).tolist()),
        cut,
        counted,
    )


def _counts(
    verdict: Detections, known: Known | None, settings: FusionSettings
) -> npt.NDArray[np.bool_]:
    """Which boxes of the cloud count."""
    sure = verdict.scores >= settings.verdict_score
    if known is None or not len(known.boxes) or sure.all():
        return sure
    same = verdict.classes[:, None] == known.classes[None, :]
    least = np.where(same, settings.match_iou, max(settings.match_iou, _OTHER_CLASS_IOU))
    backed = (iou(verdict.boxes, known.boxes) >= least).any(axis=1)
    taken = iou(verdict.boxes, verdict.boxes[sure]).max(axis=1, initial=0) >= _DOUBLE_IOU
    return np.asarray(sure | (backed & ~taken & (verdict.scores >= settings.weak_score)))


@dataclass(frozen=True, slots=True)
class Rereading:
    """A verdict, read against the objects that the edge knew of and did not see in the frame.

    Attributes:
        seen: pairs (object, row of the verdict) that are the same.
        refuted: objects whose place was looked at and found empty.
        doubles: objects that the edge saw after all, under another track.
    """

    seen: tuple[tuple[int, int], ...]
    refuted: tuple[int, ...]
    doubles: tuple[int, ...]


def reread(
    reading: Reading, unseen: Boxes, regions: tuple[Region, ...], settings: FusionSettings
) -> Rereading:
    """Match what `read` found new with objects that only earlier verdicts knew of.

    Args:
        reading: of the same verdict.
        unseen: float32 (n, 4), where they were last.
        regions: what the verdict speaks about.
        settings: thresholds.
    """
    places = np.array([region.xyxy for region in regions], np.float32).reshape(-1, 4)
    overlap = iou(unseen, reading.verdict.boxes)
    left = np.zeros(len(reading.verdict), bool)
    left[list(reading.new)] = True
    rows, columns = assign((overlap * left).astype(np.float32), settings.match_iou)
    matched = np.zeros(len(unseen), bool)
    matched[rows] = True
    spoken = coverage(unseen, places).max(axis=1, initial=0) >= _INSIDE
    double = overlap.max(axis=1, initial=0) >= _DOUBLE_IOU
    return Rereading(
        tuple(zip(rows.tolist(), columns.tolist(), strict=True)),
        tuple(np.flatnonzero(spoken & ~matched & ~double).tolist()),
        tuple(np.flatnonzero(~matched & double).tolist()),
    )


def _centred_in(boxes: Boxes, places: Boxes) -> npt.NDArray[np.bool_]:
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    inside = (centres >= places[None, :, :2]) & (centres <= places[None, :, 2:])
    in_each: npt.NDArray[np.bool_] = np.all(inside, axis=2)
    return np.asarray(in_each.any(axis=1))


def _cut(boxes: Boxes, places: Boxes, frame: FrameRef) -> npt.NDArray[np.bool_]:
    """Whether a box touches its region's border where that is not the frame's border."""
    if not len(boxes) or not len(places):
        return np.zeros(len(boxes), bool)
    home = places[coverage(boxes, places).argmax(axis=1)]
    ends = np.array([0, 0, frame.width, frame.height], np.float32)
    inner = np.abs(home - ends) > 0.5
    signs = np.array([1, 1, -1, -1], np.float32)
    near = (boxes - home) * signs <= _CUT_PX
    out: npt.NDArray[np.bool_] = (inner & near).any(axis=1)
    return out
