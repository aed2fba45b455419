"""What each track has shown so far, as running statistics: a few numbers, whatever its age.

Weights decay with time, not with frames, so that any analysis rate gives the same evidence.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.clusters import Clusters

SCORE_MEMORY_S = 0.3
"""Time constant of the smoothed score."""
CLASS_MEMORY_S = 1.0
"""Time constant of the scores that a track has gathered for each class."""

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_FIRST_ROWS = 16
_COLUMNS = (
    "hits", "first_s", "last_s", "score_sum", "square_sum", "score_max", "smoothed", "flips",
    "class_index", "speed", "x", "y",
)  # fmt: skip
_AT = {name: column for column, name in enumerate(_COLUMNS)}


class TrackStatistics:
    """Of all tracks of one camera. Not safe for concurrent use.

    Args:
        classes: how many classes the light model knows.
    """

    def __init__(self, classes: int) -> None:
        self._row_of: dict[int, int] = {}
        self._free = list(range(_FIRST_ROWS - 1, -1, -1))
        self._values: Floats = np.zeros((_FIRST_ROWS, len(_COLUMNS)))
        self._class_scores = np.zeros((_FIRST_ROWS, max(1, classes)), np.float32)

    def __len__(self) -> int:
        return len(self._row_of)

    def column(self, name: str, track_ids: list[int]) -> Floats:
        """float64 (n,), one number of each of these tracks, which must be known."""
        rows = [self._row_of[track_id] for track_id in track_ids]
        values: Floats = self._values[rows, _AT[name]]
        return values

    def smoothed(self, track_id: int) -> float:
        """The smoothed score of a track; 0 of one that the light model has never seen."""
        row = self._row_of.get(track_id)
        return 0.0 if row is None else float(self._values[row, _AT["smoothed"]])

    def class_share(self, track_ids: list[int]) -> Floats:
        """float64 (n,), share of the leading class in all that a track has said about classes."""
        scores = self._class_scores[[self._row_of[track_id] for track_id in track_ids]]
        total = scores.sum(axis=1)
        share: Floats = np.divide(
            scores.max(axis=1, initial=0), total, out=np.ones(len(scores), np.float32),
            where=total > 0,
        ).astype(np.float64)  # fmt: skip
        return share

    def see(
        self, track_ids: list[int], seen: Clusters, rows: Rows, time_s: float
    ) -> npt.NDArray[np.int32]:
        """Take in the boxes of a frame.

        Args:
            track_ids: the tracks seen, unique.
            seen: the clusters of the frame.
            rows: the row of ``seen`` that each track has got.
            time_s: stream time, seconds.

        Returns:
            int32 (n,): the class that each track has shown most, by score and time.
        """
        at = self._rows(track_ids, time_s)
        if not len(at):
            return np.empty(0, np.int32)
        boxes = seen.detections.boxes[rows].astype(np.float64)
        scores = seen.detections.scores[rows].astype(np.float64)
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        values = self._values[at]
        known = values[:, _AT["hits"]] > 0
        passed_s = np.maximum(time_s - values[:, _AT["last_s"]], 0.0)

        faded = np.exp(-passed_s / CLASS_MEMORY_S).astype(np.float32)
        known_classes = self._class_scores.shape[1]
        said = seen.class_scores[rows][:, :known_classes]
        gathered = self._class_scores[at] * faded[:, None] + said
        self._class_scores[at] = gathered
        classes: npt.NDArray[np.int32] = gathered.argmax(axis=1).astype(np.int32)

        now_classes = seen.detections.classes[rows]
        values[:, _AT["flips"]] += known & (values[:, _AT["class_index"]] != now_classes)
        values[:, _AT["class_index"]] = now_classes
        moved = np.hypot(
            middles[:, 0] - values[:, _AT["x"]], middles[:, 1] - values[:, _AT["y"]]
        ) / np.sqrt(sides[:, 0] * sides[:, 1])
        speed = moved / np.maximum(passed_s, 1e-3)
        values[:, _AT["speed"]] = np.where(
            known & (passed_s > 0),
            0.7 * values[:, _AT["speed"]] + 0.3 * speed,
            values[:, _AT["speed"]],
        )
        keep = np.where(known, np.exp(-passed_s / SCORE_MEMORY_S), 0.0)
        values[:, _AT["smoothed"]] = keep * values[:, _AT["smoothed"]] + (1 - keep) * scores
        values[:, _AT["hits"]] += 1
        values[:, _AT["last_s"]] = time_s
        values[:, _AT["score_sum"]] += scores
        values[:, _AT["square_sum"]] += scores**2
        values[:, _AT["score_max"]] = np.maximum(values[:, _AT["score_max"]], scores)
        values[:, _AT["x"]], values[:, _AT["y"]] = middles[:, 0], middles[:, 1]
        self._values[at] = values
        return classes

    def keep(self, alive: set[int]) -> None:
        """Forget all other tracks."""
        for track_id in [key for key in self._row_of if key not in alive]:
            self._free.append(self._row_of.pop(track_id))

    def _rows(self, track_ids: list[int], time_s: float) -> Rows:
        rows = np.empty(len(track_ids), np.intp)
        for number, track_id in enumerate(track_ids):
            row = self._row_of.get(track_id)
            rows[number] = self._begin(track_id, time_s) if row is None else row
        return rows

    def _begin(self, track_id: int, time_s: float) -> int:
        if not self._free:
            size = len(self._values)
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
            more = np.zeros_like(self._class_scores)
            self._class_scores = np.concatenate([self._class_scores, more])
            self._free = list(range(2 * size - 1, size - 1, -1))
        row = self._free.pop()
        self._row_of[track_id] = row
        self._values[row] = 0.0
        self._values[row, [_AT["first_s"], _AT["last_s"]]] = time_s
        self._values[row, _AT["class_index"]] = -1
        self._class_scores[row] = 0.0
        return row


def spread(hits: Floats, total: Floats, squares: Floats) -> Floats:
    """float64 (n,), standard deviation of the scores of a track."""
    mean = total / np.maximum(hits, 1)
    variance = np.maximum(squares / np.maximum(hits, 1) - mean**2, 0.0)
    deviation: Floats = np.sqrt(variance)
    return deviation


def logit(probability: Floats) -> Floats:
    """The log odds, kept finite."""
    kept = np.clip(probability, 1e-3, 1 - 1e-3)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


LOGIT_LIMIT = math.log(999)
"""Largest log odds that `logit` gives."""
