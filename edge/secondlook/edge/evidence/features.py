"""The numbers that a risk model reads, for boxes without and with a verdict. Pure functions.

Names, order and meaning of the columns are part of a gate file (`secondlook.edge.gate.gate_file`):
a column never changes its meaning; new ones get new names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.clusters import Clusters
from secondlook.edge.evidence.statistics import TrackStatistics, logit, spread
from secondlook.shared.geometry import Boxes, coverage

if TYPE_CHECKING:
    from secondlook.edge.fusion.belief import Belief

Floats = npt.NDArray[np.float64]

SIGHT = (
    "score",  # log odds of the light model's score
    "smoothed",  # log odds of the track's smoothed score
    "mean",  # log odds of the mean score over the track
    "best",  # log odds of the best score of the track
    "deviation",  # standard deviation of the scores of the track
    "size",  # log of the box's side, as if the frame were 640 pixels long
    "aspect",  # log of width over height
    "hits",  # log of the number of frames in which the track was seen, at most 50
    "border",  # 1 where the box touches the frame's border
    "margin",  # score of the best class less that of the second
    "class_share",  # share of the leading class in what the track has said about classes
    "flips",  # class changes a frame
    "hidden",  # share of the box that stronger boxes cover, at most one of them
    "speed",  # sizes a second, at most 5
    "cluster",  # log of the number of boxes in the cluster
)
"""Columns of a box as the light model sees it."""

_SMOOTHED = SIGHT.index("smoothed")
(
    _DEVIATION,
    _SIZE,
    _ASPECT,
    _HITS,
    _BORDER,
    _MARGIN,
    _CLASS_SHARE,
    _FLIPS,
    _HIDDEN,
    _SPEED,
    _CLUSTER,
) = range(4, 15)
_READ = ("hits", "score_sum", "square_sum", "score_max", "smoothed", "flips", "speed")
"""What is read of a track."""

CHANGE = (
    "verdict",  # log odds of the heavy model's score; 0 where it saw nothing
    "age",  # log of 1 + age of the verdict in seconds, at most `OLDEST_S`
    "risen",  # log odds of the score now less those when the cloud was asked
    "smoothed_risen",  # the same of the smoothed score
    "grown",  # absolute log of the area now over the area then
    "confirmations",  # log of 1 + verdicts in a row that said the same
    "same_class",  # 1 where the light model says the class that it said then
    "agreed",  # 1 where the class that stands is the one that the light model says now
)
"""Further columns of a box with a verdict."""

OLDEST_S = 12.0
"""Verdicts do not get older than this, seconds: lessons reach no further."""
_REFERENCE_SIDE_PX = 640.0
_BORDER_PX = 2.0


def sight_features(
    seen: Clusters,
    rows: npt.NDArray[np.intp],
    track_ids: list[int],
    statistics: TrackStatistics,
    frame_size: tuple[int, int],
) -> Floats:
    """float64 (n, len(SIGHT)): the boxes of a frame as the light model sees them.

    Args:
        seen: the clusters of the frame.
        rows: those that belong to a track, best first.
        track_ids: their tracks, already counted in ``statistics``.
        statistics: of all tracks.
        frame_size: width and height of the native frame, pixels.
    """
    if not len(rows):
        return np.empty((0, len(SIGHT)))
    boxes = seen.detections.boxes[rows]
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).astype(np.float64).T
    scale = _REFERENCE_SIDE_PX / max(frame_size)
    hits, total, squares, best, smoothed, flips, speed = statistics.columns(_READ, track_ids)
    # Each call costs more than its few numbers: what is calculated alike is calculated together.
    table = np.empty((len(SIGHT), len(rows)))
    odds = table[:4]
    odds[0], odds[1], odds[2], odds[3] = seen.detections.scores[rows], smoothed, total / hits, best
    odds[:] = logit(odds)
    logs = np.empty((4, len(rows)))
    np.multiply(np.sqrt(width * height), scale, out=logs[0])
    np.divide(width, height, out=logs[1])
    np.minimum(hits, 50.0, out=logs[2])
    logs[3] = seen.sizes[rows]
    table[_SIZE], table[_ASPECT], table[_HITS], table[_CLUSTER] = np.log(logs)
    table[_DEVIATION] = spread(hits, total, squares)
    table[_BORDER] = touches_border(boxes, frame_size)
    table[_MARGIN] = seen.margins[rows]
    table[_CLASS_SHARE] = statistics.class_share(track_ids)
    table[_FLIPS] = flips / hits
    table[_HIDDEN] = hidden_share(boxes)
    table[_SPEED] = np.minimum(speed, 5.0)
    return np.ascontiguousarray(table.T)


def change_features(
    sights: Floats,
    boxes: Boxes,
    classes: npt.NDArray[np.int32],
    beliefs: Sequence[Belief],
    time_s: float,
) -> Floats:
    """float64 (n, len(CHANGE)): what has changed since the last verdict about each box.

    Args:
        sights: float64 (n, len(SIGHT)), the boxes as they are seen now.
        boxes: float32 (n, 4).
        classes: int32 (n,), what the light model says now.
        beliefs: the verdicts.
        time_s: stream time of the frame; verdicts about later frames count as as far away.
    """
    out = np.empty((len(beliefs), len(CHANGE)))
    if not len(beliefs):
        return out
    score, smoothed = sights[:, 0], sights[:, _SMOOTHED]
    known = np.array([_numbers(belief, time_s) for belief in beliefs], np.float64).T
    refuted, edge_class, class_index = known[4:]
    then, verdict = logit(known[:2])
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).astype(np.float64).T
    out[:, 0] = np.where(refuted, 0.0, verdict)
    out[:, 1], out[:, 5] = np.log1p(known[2:4])
    out[:, 2] = score - then
    out[:, 3] = smoothed - then
    areas = np.array([max(1.0, belief.area) for belief in beliefs])
    out[:, 4] = np.abs(np.log(width * height / areas))
    out[:, 6] = edge_class == classes
    out[:, 7] = class_index == classes
    return out


def _numbers(belief: Belief, time_s: float) -> tuple[float, ...]:
    age_s = min(abs(time_s - belief.at_s), OLDEST_S)
    said = belief.refuted, belief.edge_class, belief.class_index
    return (belief.edge_score, belief.score, age_s, belief.confirmations, *said)


def touches_border(boxes: Boxes, frame_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """bool (n,), boxes that end at the border of the frame, where objects are cut off."""
    width, height = frame_size
    left, top, right, bottom = boxes.T
    out: npt.NDArray[np.bool_] = left <= _BORDER_PX
    out |= top <= _BORDER_PX
    out |= right >= np.float32(width - _BORDER_PX)
    out |= bottom >= np.float32(height - _BORDER_PX)
    return out


def hidden_share(boxes: Boxes) -> Floats:
    """float64 (n,): the largest share of each box that one box before it covers."""
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    shares = np.where(_before(len(boxes)), coverage(boxes, boxes), np.float32(0))
    hidden: Floats = shares.max(axis=1).astype(np.float64)
    return hidden


@lru_cache(maxsize=64)
def _before(count: int) -> npt.NDArray[np.bool_]:
    """bool (count, count): below the diagonal."""
    mask: npt.NDArray[np.bool_] = np.tri(count, k=-1, dtype=bool)
    mask.flags.writeable = False
    return mask


def class_weight(features: Floats) -> float:
    """How sure the light model is of the class of a track, 0 to 1; ``features``: (len(SIGHT),)."""
    odds, share = features[_SMOOTHED], features[_CLASS_SHARE]
    return float(share / (1.0 + np.exp(-odds)))
