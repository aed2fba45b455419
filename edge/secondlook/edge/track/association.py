"""Which box belongs to which track: optimal assignment on overlap. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from secondlook.shared.geometry import Boxes, area, iou

Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Rows of the first and of the second argument that belong together."""

_SIZE_RATIO = 2.5
"""Boxes whose areas differ by more than this are not the same object one frame later."""


def assign(likeness: npt.NDArray[np.float32], least: float) -> Pairs:
    """The pairs of largest total likeness, none below ``least``.

    Args:
        likeness: float32 (n, m).
        least: pairs below this are never made.
    """
    if not likeness.size:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    allowed = likeness >= least
    # A forbidden pair costs nothing and brings nothing, so it never displaces an allowed one.
    rows, columns = linear_sum_assignment(np.where(allowed, likeness, 0.0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


class Likeness:
    """How alike some tracks and some boxes are, for several rounds of `assign` among them.

    Args:
        likeness: float32 (n, m).
        least: pairs below this are never made; above 0.
    """

    def __init__(self, likeness: npt.NDArray[np.float32], least: float) -> None:
        self._likeness = likeness
        self._least = least
        rows, columns = (likeness >= least).nonzero()
        values = likeness[rows, columns]
        self._allowed = list(zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True))

    def assign(self, rows: Sequence[bool], columns: Sequence[bool]) -> list[tuple[int, int]]:
        """The pairs of largest total likeness among some rows and columns; see `assign`.

        Args:
            rows: n, which of them take part.
            columns: m, which of them do.
        """
        allowed = [pair for pair in self._allowed if rows[pair[0]] and columns[pair[1]]]
        if not allowed:
            return []
        pairs = _evident(allowed)
        if pairs is not None:
            return pairs
        of_rows, of_columns = np.flatnonzero(rows), np.flatnonzero(columns)
        left, right = assign(self._likeness[of_rows[:, None], of_columns], self._least)
        return list(zip(of_rows[left].tolist(), of_columns[right].tolist(), strict=True))


def _evident(allowed: list[tuple[int, int, float]]) -> list[tuple[int, int]] | None:
    """The best pairs where nothing has to be searched; ``None`` where it has.

    So it is nearly always: no row and no column occurs twice, or one that does has only rivals that
    occur once, of which the likest wins.
    """
    of_row: dict[int, list[tuple[int, int, float]]] = {}
    of_column: dict[int, list[tuple[int, int, float]]] = {}
    for pair in allowed:
        of_row.setdefault(pair[0], []).append(pair)
        of_column.setdefault(pair[1], []).append(pair)
    if len(of_row) == len(of_column) == len(allowed):
        return [(row, column) for row, column, _ in allowed]
    found = []
    for pair in allowed:
        row, column, value = pair
        rivals, others = of_row[row], of_column[column]
        if len(rivals) > 1 and len(others) > 1:
            return None
        for rival in rivals if len(rivals) > 1 else others:
            if rival[2] > value:
                break
            if rival[2] == value and rival is not pair:
                return None
        else:
            found.append((row, column))
    return found


def grown(boxes: Boxes, share: float) -> Boxes:
    """The boxes, each side pushed out by ``share`` of the box's size."""
    border = (boxes[:, 2:] - boxes[:, :2]) * np.float32(share)
    return np.concatenate([boxes[:, :2] - border, boxes[:, 2:] + border], axis=1)


def reach_likeness(a: Boxes, b: Boxes, share: float) -> npt.NDArray[np.float32]:
    """Overlap of the grown boxes, 0 where the sizes differ too much: float32 (len(a), len(b)).

    For objects that moved by more than their size between two frames.
    """
    likeness = iou(grown(a, share), grown(b, share))
    area_a, area_b = area(a)[:, None], area(b)[None, :]
    ratio = np.maximum(area_a, area_b) / np.maximum(np.minimum(area_a, area_b), 1e-6)
    likeness[ratio > _SIZE_RATIO] = 0
    return likeness
