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
_MEMORIES_S = np.array([[CLASS_MEMORY_S], [SCORE_MEMORY_S]])

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_FIRST_ROWS = 16
_COLUMNS = (
    "hits", "first_s", "last_s", "score_sum", "square_sum", "score_max", "smoothed", "flips",
    "class_index", "speed", "x", "y",
)  # fmt: skip
_AT = {name: column for column, name in enumerate(_COLUMNS)}
_HITS, _FIRST_S, _LAST_S, _SUM, _SQUARES, _BEST = range(6)
_SMOOTHED, _FLIPS, _CLASS, _SPEED, _X, _Y = range(6, 12)


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
        numbers: Floats = self.columns((name,), track_ids)[0]
        return numbers

    def columns(self, names: tuple[str, ...], track_ids: list[int]) -> Floats:
        """float64 (len(names), n), numbers of each of these tracks, which must be known."""
        values = self._values[self._known(track_ids)].T
        numbers: Floats = values[[_AT[name] for name in names]]
        return numbers

    def smoothed(self, track_id: int) -> float:
        """The smoothed score of a track; 0 of one that the light model has never seen."""
        row = self._row_of.get(track_id)
        return 0.0 if row is None else float(self._values[row, _SMOOTHED])

    def class_share(self, track_ids: list[int]) -> Floats:
        """float64 (n,), share of the leading class in all that a track has said about classes."""
        scores = self._class_scores[self._known(track_ids)]
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
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).T
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
        # One row for each number, since that is how they are worked on.
        values = np.ascontiguousarray(self._values[at].T)
        known = values[_HITS] > 0
        passed_s = np.maximum(time_s - values[_LAST_S], 0.0)

        faded, kept = np.exp(-passed_s / _MEMORIES_S)
        known_classes = self._class_scores.shape[1]
        said = seen.class_scores[rows][:, :known_classes]
        gathered = self._class_scores[at] * faded.astype(np.float32)[:, None] + said
        self._class_scores[at] = gathered
        classes: npt.NDArray[np.int32] = gathered.argmax(axis=1).astype(np.int32)

        now_classes = seen.detections.classes[rows]
        values[_FLIPS] += known & (values[_CLASS] != now_classes)
        values[_CLASS] = now_classes
        moved = np.hypot(x - values[_X], y - values[_Y]) / np.sqrt(sides[0] * sides[1])
        speed = moved / np.maximum(passed_s, 1e-3)
        before = values[_SPEED]
        values[_SPEED] = np.where(known & (passed_s > 0), 0.7 * before + 0.3 * speed, before)
        keep = np.where(known, kept, 0.0)
        values[_SMOOTHED] = keep * values[_SMOOTHED] + (1 - keep) * scores
        values[_HITS] += 1
        values[_LAST_S] = time_s
        values[_SUM] += scores
        values[_SQUARES] += scores**2
        values[_BEST] = np.maximum(values[_BEST], scores)
        values[_X], values[_Y] = x, y
        self._values[at] = values.T
        return classes

    def keep(self, alive: set[int]) -> None:
        """Forget all other tracks."""
        for track_id in [key for key in self._row_of if key not in alive]:
            self._free.append(self._row_of.pop(track_id))

    def _known(self, track_ids: list[int]) -> Rows:
        row_of = self._row_of
        return np.array([row_of[track_id] for track_id in track_ids], np.intp)

    def _rows(self, track_ids: list[int], time_s: float) -> Rows:
        rows = []
        for track_id in track_ids:
            row = self._row_of.get(track_id)
            rows.append(self._begin(track_id, time_s) if row is None else row)
        return np.array(rows, np.intp)

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
        self._values[row, _FIRST_S] = self._values[row, _LAST_S] = time_s
        self._values[row, _CLASS] = -1
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
    kept = np.minimum(np.maximum(probability, 1e-3), 1 - 1e-3)  # np.clip takes twice as long
    odds: Floats = np.log(kept / (1 - kept))
    return odds


LOGIT_LIMIT = math.log(999)
"""Largest log odds that `logit` gives."""
