"""Boxes as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared import geometry

SQUARES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 9]], np.float32)


def test_intersection_and_iou_of_known_squares() -> None:
    shared = geometry.intersection(SQUARES, SQUARES[:2])
    np.testing.assert_allclose(shared, [[100, 50], [50, 100], [0, 0], [0, 0]])
    np.testing.assert_allclose(geometry.iou(SQUARES[:1], SQUARES), [[1, 1 / 3, 0, 0]], rtol=1e-6)


def test_coverage_is_the_share_of_the_first() -> None:
    large = np.array([[0, 0, 20, 20]], np.float32)
    np.testing.assert_allclose(geometry.coverage(SQUARES[:1], large), [[1]])
    np.testing.assert_allclose(geometry.coverage(large, SQUARES[:1]), [[0.25]])


def test_empty_boxes_overlap_nothing_and_divide_by_nothing() -> None:
    empty = SQUARES[3:]
    assert geometry.area(empty)[0] == 0
    assert geometry.iou(empty, empty)[0, 0] == 0
    assert geometry.coverage(empty, SQUARES)[0].max() == 0
    none = np.empty((0, 4), np.float32)
    assert geometry.iou(none, SQUARES).shape == (0, 4)
    assert geometry.area(none).shape == (0,)


def test_clip_cuts_to_the_frame() -> None:
    boxes = np.array([[-5, -5, 50, 50], [100, 100, 120, 130]], np.float32)
    np.testing.assert_array_equal(geometry.clip(boxes, 40, 30), [[0, 0, 40, 30], [40, 30, 40, 30]])


def test_suppress_keeps_the_best_of_each_heap() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.5, 0.9, 0.1], np.float32)
    assert geometry.suppress(boxes, scores, 0.5).tolist() == [1, 2]


def test_suppress_leaves_other_classes_alone_when_told_classes() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.1], np.float32)
    classes = np.array([0, 1, 1], np.int32)
    assert geometry.suppress(boxes, scores, 0.5, classes).tolist() == [1, 0]


def test_suppress_keeps_the_earlier_of_two_equals_and_boxes_that_just_touch_the_limit() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    scores = np.array([0.5, 0.5, 0.4], np.float32)
    assert geometry.suppress(boxes, scores, 0.5).tolist() == [0, 2]


def test_suppress_counts_a_score_of_zero() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    assert geometry.suppress(boxes, np.zeros(2, np.float32), 0.5).tolist() == [0, 1]


@pytest.mark.parametrize("classes", [None, np.empty(0, np.int32)])
def test_suppress_of_nothing_is_nothing(classes: np.ndarray | None) -> None:
    kept = geometry.suppress(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, classes)
    assert kept.shape == (0,)
    assert kept.dtype == np.intp
