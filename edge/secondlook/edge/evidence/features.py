"""The numbers that a risk model reads, for boxes without and with a verdict. Pure functions.

Names, order and meaning of the columns are part of a gate file (`secondlook.edge.gate.gate_file`):
a column never changes its meaning; new ones get new names.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    out = np.empty((len(rows), len(SIGHT)))
    if not len(rows):
        return out
    boxes = seen.detections.boxes[rows]
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).astype(np.float64)
    scale = _REFERENCE_SIDE_PX / max(frame_size)
    hits = statistics.column("hits", track_ids)
    total = statistics.column("score_sum", track_ids)
    columns = (
        logit(seen.detections.scores[rows].astype(np.float64)),
        logit(statistics.column("smoothed", track_ids)),
        logit(total / hits),
        logit(statistics.column("score_max", track_ids)),
        spread(hits, total, statistics.column("square_sum", track_ids)),
        np.log(np.sqrt(sides[:, 0] * sides[:, 1]) * scale),
        np.log(sides[:, 0] / sides[:, 1]),
        np.log(np.minimum(hits, 50.0)),
        touches_border(boxes, frame_size),
        seen.margins[rows],
        statistics.class_share(track_ids),
        statistics.column("flips", track_ids) / hits,
        hidden_share(boxes),
        np.minimum(statistics.column("speed", track_ids), 5.0),
        np.log(seen.sizes[rows]),
    )
    for column, values in enumerate(columns):
        out[:, column] = values
    return out


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
    score, smoothed = sights[:, SIGHT.index("score")], sights[:, SIGHT.index("smoothed")]
    then = logit(np.array([belief.edge_score for belief in beliefs]))
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).astype(np.float64)
    areas = np.array([max(1.0, belief.area) for belief in beliefs])
    refuted = np.array([belief.refuted for belief in beliefs])
    ages_s = np.array([time_s - belief.at_s for belief in beliefs])
    verdict = logit(np.array([belief.score for belief in beliefs]))
    columns = (
        np.where(refuted, 0.0, verdict),
        np.log1p(np.minimum(np.abs(ages_s), OLDEST_S)),
        score - then,
        smoothed - then,
        np.abs(np.log(sides[:, 0] * sides[:, 1] / areas)),
        np.log1p(np.array([float(belief.confirmations) for belief in beliefs])),
        np.array([belief.edge_class for belief in beliefs]) == classes,
        np.array([belief.class_index for belief in beliefs]) == classes,
    )
    for column, values in enumerate(columns):
        out[:, column] = values
    return out


def touches_border(boxes: Boxes, frame_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """bool (n,), boxes that end at the border of the frame, where objects are cut off."""
    width, height = frame_size
    low: npt.NDArray[np.bool_] = np.any(boxes[:, :2] <= _BORDER_PX, axis=1)
    far = np.array([width - _BORDER_PX, height - _BORDER_PX], np.float32)
    high: npt.NDArray[np.bool_] = np.any(boxes[:, 2:] >= far, axis=1)
    return low | high


def hidden_share(boxes: Boxes) -> Floats:
    """float64 (n,): the largest share of each box that one box before it covers."""
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    shares = np.tril(coverage(boxes, boxes), -1)
    hidden: Floats = shares.max(axis=1).astype(np.float64)
    return hidden


def class_weight(features: Floats) -> float:
    """How sure the light model is of the class of a track, 0 to 1; ``features``: (len(SIGHT),)."""
    odds, share = features[SIGHT.index("smoothed")], features[SIGHT.index("class_share")]
    return float(share / (1.0 + np.exp(-odds)))
