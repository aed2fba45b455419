"""How well a detector does against the street's truth: precision, recall, F1, AP.

A box and an object match when they have the same class and an IoU of at least 0.5, best score
first, each once. Objects the street marks as too small or too hidden are neither missed when not
found nor false alarms when found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim import CLASS_NAMES

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MATCH_IOU = 0.5
SUPPRESS_IOU = 0.65  # as the detectors of both tiers
LOWEST_SCORE = 0.05
SIZES: tuple[tuple[str, float, float], ...] = (
    ("up to 16 px high", 0.0, 16.0),
    ("16 to 32 px high", 16.0, 32.0),
    ("over 32 px high", 32.0, 1e9),
)

Answer = tuple[Floats, Floats, Ints]
"""Boxes (n, 4) xyxy in frame pixels, scores (n,), classes (n,)."""


@dataclass(frozen=True)
class Scores:
    """Micro-averaged metrics at the threshold of the best F1.

    Attributes:
        f1, precision, recall, threshold: at that threshold.
        ap: mean over classes of the average precision at IoU 0.5.
        class_f1: F1 of each class at that threshold.
        size_recall: recall of each size bucket of `SIZES` at that threshold.
        objects: number of countable objects.
    """

    f1: float
    precision: float
    recall: float
    threshold: float
    ap: float
    class_f1: dict[str, float]
    size_recall: dict[str, float]
    objects: int


def decode(output: Floats, scale: float) -> Answer:
    """Boxes of one raw output (4 + classes, a), suppressed by class, in frame pixels."""
    boxes, scores = output[:4].T, output[4:].T
    cell, kind = np.nonzero(scores >= LOWEST_SCORE)
    score = scores[cell, kind]
    if len(score) > 1000:
        best = np.argsort(-score)[:1000]
        cell, kind, score = cell[best], kind[best], score[best]
    corners = np.concatenate(
        (boxes[cell, :2] - boxes[cell, 2:] / 2, boxes[cell, :2] + boxes[cell, 2:] / 2), 1
    )
    corners = (corners * scale).astype(np.float32)
    keep = suppress(corners, score, kind)
    return corners[keep], score[keep], kind[keep].astype(np.int64)


def suppress(boxes: Floats, scores: Floats, classes: NDArray[np.integer]) -> Ints:
    """Indices kept by non-maximum suppression within each class, best first."""
    if not len(boxes):
        return np.zeros(0, np.int64)
    shift = (classes * 10_000.0)[:, None]
    rects = np.concatenate((boxes[:, :2] + shift, boxes[:, 2:] - boxes[:, :2]), 1)
    kept = cv2.dnn.NMSBoxes(rects.tolist(), scores.tolist(), 0.0, SUPPRESS_IOU)
    return np.asarray(kept, np.int64).reshape(-1)


def iou_matrix(a: Floats, b: Floats) -> Floats:
    """IoU (n, m) of boxes (n, 4) and (m, 4), xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = (high - low).clip(0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    ious: Floats = inner / np.maximum(area_a[:, None] + area_b[None] - inner, 1e-6)
    return ious


def match(
    answer: Answer, boxes: Floats, classes: Ints, ignore: Bools
) -> tuple[NDArray[np.int64], Ints]:
    """Verdict on each box, best score first, and the order.

    Returns:
        For each box the index of the object it found, -1 for a false alarm, -2 for not counted;
        and the order of boxes by falling score.
    """
    found_boxes, scores, kinds = answer
    order = np.argsort(-scores, kind="stable")
    result = np.full(len(scores), -1, np.int64)
    if not len(boxes) or not len(scores):
        return result, order
    ious = iou_matrix(found_boxes, boxes)
    fits = (ious >= MATCH_IOU) & (kinds[:, None] == classes[None])
    taken = np.zeros(len(boxes), np.bool_)
    for i in order:
        open_to = np.where(fits[i] & ~taken & ~ignore, ious[i], 0.0)
        best = int(open_to.argmax())
        if open_to[best] > 0:
            taken[best] = True
            result[i] = best
        elif (ious[i][ignore] >= MATCH_IOU).any():
            result[i] = -2
    return result, order


def score(
    answers: Sequence[Answer],
    boxes: Sequence[Floats],
    classes: Sequence[Ints],
    ignore: Sequence[Bools],
    threshold: float | None = None,
) -> Scores:
    """Metrics over frames; lists have one entry a frame.

    Args:
        threshold: take this score threshold; None takes the one with the best F1 on these frames.
    """
    rows = []  # score, class, hit, height of what was hit
    for answer, b, c, g in zip(answers, boxes, classes, ignore, strict=True):
        result, _ = match(answer, b, c, g)
        for i in np.flatnonzero(result > -2):
            height = b[result[i], 3] - b[result[i], 1] if result[i] >= 0 else 0.0
            rows.append((answer[1][i], answer[2][i], result[i] >= 0, height))
    counted = [~g for g in ignore]
    all_classes = np.concatenate([c[k] for c, k in zip(classes, counted, strict=True)])
    heights = np.concatenate([(b[:, 3] - b[:, 1])[k] for b, k in zip(boxes, counted, strict=True)])
    total = len(all_classes)
    table = np.asarray(rows, np.float64).reshape(-1, 4)
    table = table[np.argsort(-table[:, 0], kind="stable")]
    hits = np.cumsum(table[:, 2])
    ranks = np.arange(1, len(table) + 1)
    f1 = 2 * hits / np.maximum(ranks + total, 1)
    if threshold is None:
        threshold = float(table[int(f1.argmax()), 0]) if len(table) else 1.0
    chosen = table[table[:, 0] >= threshold]
    good = chosen[:, 2] > 0

    def f1_of(right: float, given: float, wanted: float) -> float:
        return 2 * right / max(given + wanted, 1)

    class_f1, average = {}, []
    for kind, name in enumerate(CLASS_NAMES):
        own = chosen[:, 1] == kind
        wanted = int((all_classes == kind).sum())
        class_f1[name] = f1_of(float(good[own].sum()), float(own.sum()), wanted)
        if wanted:
            average.append(_average_precision(table[table[:, 1] == kind, 2], wanted))
    size_recall = {
        name: float((good & (chosen[:, 3] > low) & (chosen[:, 3] <= high)).sum())
        / max(int(((heights > low) & (heights <= high)).sum()), 1)
        for name, low, high in SIZES
    }
    right = float(good.sum())
    return Scores(
        f1=f1_of(right, len(chosen), total),
        precision=right / max(len(chosen), 1),
        recall=right / max(total, 1),
        threshold=threshold,
        ap=float(np.mean(average)) if average else 0.0,
        class_f1=class_f1,
        size_recall=size_recall,
        objects=total,
    )


def _average_precision(hits: NDArray[np.float64], wanted: int) -> float:
    right = np.cumsum(hits)
    recall = right / wanted
    precision = right / np.arange(1, len(hits) + 1) if len(hits) else right
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate(([0.0], recall))) * envelope))


def answers_of(
    infer: Callable[[NDArray[np.uint8]], Floats],
    images: NDArray[np.uint8],
    input_size: tuple[int, int],
    batch: int = 8,
) -> list[Answer]:
    """Run a detector over frames (n, H, W, 3) uint8, scaled to its input size.

    Args:
        infer: from uint8 (b, h, w, 3) to the raw output (b, 4 + classes, a).
    """
    found: list[Answer] = []
    scale = images.shape[2] / input_size[0]
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        if scale != 1:
            part = np.stack([cv2.resize(i, input_size, interpolation=cv2.INTER_AREA) for i in part])
        found.extend(decode(raw, scale) for raw in infer(np.ascontiguousarray(part)))
    return found
