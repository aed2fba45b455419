"""Where in the picture objects of which class are published: a coarse grid of counters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.fusion.vocabulary import Vocabulary
from secondlook.shared.memory.kinds import ScenePrior
from secondlook.shared.values import Detections, FrameRef

COLUMNS, ROWS = 16, 9
MAX_CLASSES = 24
"""Classes of one camera that are counted, the first ones that are published."""
MIN_FRAMES = 100
"""Fewer frames say nothing about what is usual."""

Counts = npt.NDArray[np.int64]
"""int64 (classes, cells)."""


class Prior:
    """Counts frames in which a class was published in a cell, each frame once.

    Args:
        frame: any frame of the camera: its size.
        vocabulary: names of the classes.
        known: what earlier processes counted; another grid than ours is not used.
    """

    def __init__(self, frame: FrameRef, vocabulary: Vocabulary, known: ScenePrior | None) -> None:
        self._scale = np.array([COLUMNS / frame.width, ROWS / frame.height], np.float32)
        self._vocabulary = vocabulary
        self._row_of: dict[int, int] = {}
        self._total: Counts = np.zeros((MAX_CLASSES, COLUMNS * ROWS), np.int64)
        self._frames = 0
        if known is not None and (known.columns, known.rows) == (COLUMNS, ROWS):
            self._frames = known.frames
            for name, counts in list(known.counts.items())[:MAX_CLASSES]:
                index = vocabulary.index(name)
                if index is not None:
                    self._total[self._row(index)] += np.array(counts, np.int64)
        self._told: Counts = self._total.copy()
        self._told_frames = self._frames

    def count(self, published: Detections) -> None:
        """Count a frame."""
        self._frames += 1
        if not len(published):
            return
        rows = np.array([self._row(index) for index in published.classes.tolist()])
        cells = self._cells(published.boxes)
        kept = rows >= 0
        # Assignment, not addition in place: two objects in one cell count as one.
        seen = (rows[kept], cells[kept])
        self._total[seen] = self._total[seen] + 1

    def share(self, class_index: int, box: npt.NDArray[np.float32]) -> float | None:
        """Share of frames in which that class was published where a box is.

        Returns:
            ``None`` where too few frames were counted.
        """
        if self._frames < MIN_FRAMES:
            return None
        row = self._row_of.get(class_index, -1)
        if row < 0:
            return 0.0
        count = self._total[row, self._cells(box[None])[0]]
        # Merged counts of several writers may disagree with the frames for a while.
        return min(1.0, float(count) / self._frames)

    def shares(self, classes: frozenset[str] | None) -> npt.NDArray[np.float64] | None:
        """float64 (ROWS, COLUMNS): how many objects a frame shows in each cell, in the mean.

        Args:
            classes: names that count; ``None``: all.

        Returns:
            ``None`` where too few frames were counted.
        """
        if self._frames < MIN_FRAMES:
            return None
        names = self._vocabulary.names
        rows = [
            row
            for index, row in self._row_of.items()
            if row >= 0 and (classes is None or names[index] in classes)
        ]
        mean: npt.NDArray[np.float64] = self._total[rows].sum(axis=0) / self._frames
        return mean.reshape(ROWS, COLUMNS)

    def news(self) -> ScenePrior | None:
        """What was counted since the last call; ``None`` for nothing."""
        frames = self._frames - self._told_frames
        if not frames:
            return None
        added = self._total - self._told
        names = self._vocabulary.names
        counts = {
            names[index]: tuple(added[row].tolist())
            for index, row in self._row_of.items()
            if row >= 0 and 1 <= len(names[index]) <= 128 and added[row].any()
        }
        self._told, self._told_frames = self._total.copy(), self._frames
        return ScenePrior(columns=COLUMNS, rows=ROWS, frames=frames, counts=counts)

    def _cells(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """The cell in which the middle of each box is."""
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2 * self._scale
        columns = np.clip(middles[:, 0].astype(np.intp), 0, COLUMNS - 1)
        rows = np.clip(middles[:, 1].astype(np.intp), 0, ROWS - 1)
        cells: npt.NDArray[np.intp] = rows * COLUMNS + columns
        return cells

    def _row(self, class_index: int) -> int:
        """The row of a class; -1 where there is no more room."""
        if class_index not in self._row_of:
            taken = sum(row >= 0 for row in self._row_of.values())
            self._row_of[class_index] = taken if taken < MAX_CLASSES else -1
        return self._row_of[class_index]
