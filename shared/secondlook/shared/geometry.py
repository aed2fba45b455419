"""Boxes as arrays: overlap, clipping, suppression. Pure functions; boxes are xyxy pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
"""float32 (n, 4), x1 y1 x2 y2."""


def intersection(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """float32 (len(a), len(b)), square pixels shared by each pair."""
    return _shared(_sided(a)[:, :, None], _sided(b)[:, None])


def area(boxes: Boxes) -> npt.NDArray[np.float32]:
    """float32 (n,), square pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    areas: npt.NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return areas


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """float32 (len(a), len(b)), intersection over union; 0 where both areas are 0."""
    of_a, of_b = _sided(a)[:, :, None], _sided(b)[:, None]
    shared = _shared(of_a, of_b)
    union = _areas(of_a) + _areas(of_b)
    union -= shared
    return _quotients(shared, union)


def coverage(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """float32 (len(a), len(b)), share of each box of ``a`` that lies inside each box of ``b``."""
    of_a = _sided(a)[:, :, None]
    return _quotients(_shared(of_a, _sided(b)[:, None]), _areas(of_a))


def _sided(boxes: Boxes) -> npt.NDArray[np.float32]:
    """float32 (4, n), side by side in memory: loops over many boxes, not over two numbers each.

    Eight times as fast for a hundred boxes, and no slower for four.
    """
    return np.ascontiguousarray(boxes.T)


def _shared(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What (4, n, 1) and (4, 1, m) share: (n, m)."""
    sides = np.minimum(a[2:], b[2:])
    sides -= np.maximum(a[:2], b[:2])
    np.maximum(sides, 0, out=sides)  # np.clip takes three times as long here
    shared: npt.NDArray[np.float32] = sides[0] * sides[1]
    return shared


def _areas(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sides = boxes[2:] - boxes[:2]
    areas: npt.NDArray[np.float32] = sides[0] * sides[1]
    return areas


def _quotients(
    shared: npt.NDArray[np.float32], whole: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """0 where there is nothing to share."""
    out: npt.NDArray[np.float32] = np.divide(
        shared, whole, out=np.zeros(shared.shape, shared.dtype), where=whole > 0
    )
    return out


def clip(boxes: Boxes, width: float, height: float) -> Boxes:
    """The boxes cut to a frame of ``width`` x ``height``."""
    limits = np.array([width, height, width, height], np.float32)
    clipped: Boxes = np.clip(boxes, 0, limits)
    return clipped


def suppress(
    boxes: Boxes,
    scores: npt.NDArray[np.float32],
    iou_threshold: float,
    classes: npt.NDArray[np.int32] | None = None,
) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: float32 (n, 4).
        scores: float32 (n,).
        iou_threshold: a box goes when a better one overlaps it by more than this.
        classes: int32 (n,): suppress within a class only; ``None`` suppresses across classes.

    Returns:
        Indices of the boxes kept, best score first. Ties keep the earlier box.
    """
    if len(boxes) == 0:
        return np.empty(0, np.intp)
    # OpenCV's loop is native: 20 to 60 times faster than one in numpy from ten boxes on.
    # Any: typed for sequences, OpenCV takes arrays as well, and faster.
    placed: Any = boxes.astype(np.float64)
    placed[:, 2:] -= placed[:, :2]
    # OpenCV drops scores of 0 and refuses thresholds below: filtering is not this function's task.
    everything = 0.0
    positive: Any = np.maximum(scores, np.float32(1e-30))
    if classes is None:
        kept = cv2.dnn.NMSBoxes(placed, positive, everything, iou_threshold)
    else:
        kinds: Any = classes
        kept = cv2.dnn.NMSBoxesBatched(placed, positive, kinds, everything, iou_threshold)
    return np.asarray(kept, np.intp)
