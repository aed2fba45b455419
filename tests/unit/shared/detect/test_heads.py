"""Heads: raw outputs of one image in, candidate boxes out."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.detect.heads import (
    MAX_CANDIDATES,
    DecodedHead,
    DetrTripleHead,
    EndToEndHead,
    RtdetrHead,
    RtdetrTopkHead,
    Yolov8Head,
    YoloxHead,
    cells,
    grid,
)
from secondlook.shared.errors import ModelFailure


def yolox(width: int = 64, height: int = 32, classes: int = 2) -> YoloxHead:
    anchors, strides = grid(width, height, (8, 16, 32))
    return YoloxHead(anchors, strides, classes)


def test_the_grid_has_one_cell_per_stride_step_row_by_row() -> None:
    anchors, strides = grid(64, 32, (8, 16, 32))
    assert cells(64, 32, (8, 16, 32)) == len(anchors) == 8 * 4 + 4 * 2 + 2
    np.testing.assert_array_equal(anchors[:2], [[0, 0], [1, 0]])
    np.testing.assert_array_equal(anchors[8], [0, 1])
    np.testing.assert_array_equal(anchors[-1], [1, 0])
    assert strides[:, 0].tolist() == [8] * 32 + [16] * 8 + [32] * 2


def test_yolox_decodes_from_the_cell() -> None:
    head = yolox()
    raw = np.zeros((42, 7), np.float32)
    # Cell (1, 0) of the stride 32 map: centre (1.5, 0.25) cells, 2 x 1 cells large.
    raw[41] = [0.5, 0.25, np.log(2), 0.0, 0.8, 0.1, 0.5]
    found = head.candidates([raw], 0.1)
    np.testing.assert_allclose(found.boxes, [[16, -8, 80, 24]], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.4])
    assert found.classes.tolist() == [1]


def test_yolox_needs_objectness_times_class_to_suffice() -> None:
    raw = np.zeros((42, 7), np.float32)
    raw[0, 4:] = [0.5, 0.5, 0.0]
    assert len(yolox().candidates([raw], 0.3).scores) == 0
    assert len(yolox().candidates([raw], 0.25).scores) == 1


def test_yolox_survives_absurd_sizes() -> None:
    raw = np.full((42, 7), 88.0, np.float32)
    raw[:, 4:] = 1
    found = yolox().candidates([raw], 0.5)
    assert np.isfinite(found.boxes).all()


def test_decoded_boxes_are_in_pixels() -> None:
    raw = np.array([[30, 20, 10, 8, 0.9, 0.2, 1.0]], np.float32)
    found = DecodedHead(2).candidates([raw], 0.1)
    np.testing.assert_allclose(found.boxes, [[25, 16, 35, 24]])
    np.testing.assert_allclose(found.scores, [0.9])


@pytest.mark.parametrize("anchors_first", [False, True])
def test_yolov8_takes_the_best_class_of_each_anchor(anchors_first: bool) -> None:
    raw = np.zeros((7, 5), np.float32)
    raw[:, 3] = [30, 20, 10, 8, 0.1, 0.7, 0.3]
    raw = raw.T if anchors_first else raw
    found = Yolov8Head(3, anchors_first).candidates([raw], 0.2)
    np.testing.assert_allclose(found.boxes, [[25, 16, 35, 24]])
    np.testing.assert_allclose(found.scores, [0.7])
    assert found.classes.tolist() == [1]


def test_end_to_end_rows_are_ready_boxes_and_zero_rows_are_none() -> None:
    raw = np.zeros((300, 6), np.float32)
    raw[0] = [1, 2, 3, 4, 0.9, 1]
    for min_score in (0.5, 0.0):
        found = EndToEndHead(2).candidates([raw], min_score)
        np.testing.assert_allclose(found.boxes, [[1, 2, 3, 4]])
        assert found.classes.tolist() == [1]


def test_rtdetr_boxes_are_shares_of_the_input() -> None:
    raw = np.array([[0.5, 0.5, 0.25, 0.5, 0.1, 0.6]], np.float32)
    found = RtdetrHead(2, 200, 100).candidates([raw], 0.2)
    np.testing.assert_allclose(found.boxes, [[75, 25, 125, 75]])
    assert found.classes.tolist() == [1]


def test_the_newer_rtdetr_gives_score_and_class_beside_shares() -> None:
    raw = np.array([[0.5, 0.5, 0.25, 0.5, 0.6, 1], [0, 0, 0, 0, 0, 0]], np.float32)
    found = RtdetrTopkHead(2, 200, 100).candidates([raw], 0.0)
    np.testing.assert_allclose(found.boxes, [[75, 25, 125, 75]])
    assert (found.scores.tolist(), found.classes.tolist()) == ([pytest.approx(0.6)], [1])


def test_a_triple_may_come_in_any_order() -> None:
    labels, boxes = np.array([1, 0], np.int64), np.array([[1, 2, 3, 4], [0, 0, 9, 9]], np.float32)
    scores = np.array([0.9, 0.1], np.float32)
    found = DetrTripleHead(2, labels=2, boxes=0, scores=1).candidates([boxes, scores, labels], 0.5)
    np.testing.assert_allclose(found.boxes, [[1, 2, 3, 4]])
    assert found.classes.tolist() == [1]


@pytest.mark.parametrize("label", [2, -1, 2**40])
def test_a_class_outside_the_list_is_nonsense(label: int) -> None:
    boxes, scores = np.zeros((1, 4), np.float32), np.ones(1, np.float32)
    with pytest.raises(ModelFailure, match="2 classes"):
        DetrTripleHead(2).candidates([np.array([label]), boxes, scores], 0.5)
    row = np.array([[0, 0, 1, 1, 0.9, label]], np.float32)
    with pytest.raises(ModelFailure, match="2 classes"):
        EndToEndHead(2).candidates([row], 0.5)


HEADS = {
    "yolox": (yolox(), [(42, 7)]),
    "yolov5": (DecodedHead(2), [(126, 7)]),
    "yolov8": (Yolov8Head(2), [(6, 42)]),
    "end2end": (EndToEndHead(2), [(300, 6)]),
    "rtdetr": (RtdetrHead(2, 64, 32), [(300, 6)]),
    "rtdetr_topk": (RtdetrTopkHead(2, 64, 32), [(300, 6)]),
    "detr_triple": (DetrTripleHead(2), [(300,), (300, 4), (300,)]),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_wrong_shape_is_nonsense_and_names_head_and_shapes(name: str) -> None:
    head, shapes = HEADS[name]
    assert head.name == name
    for changed in range(len(shapes)):
        for wrong in ((*shapes[changed], 1), tuple(n + 1 for n in shapes[changed]), (0,)):
            if (
                name in ("yolov5", "end2end", "rtdetr", "rtdetr_topk")
                and wrong[-1] == shapes[0][-1]
            ):
                continue
            outputs = [np.zeros(shape, np.float32) for shape in shapes]
            outputs[changed] = np.zeros(wrong, np.float32)
            with pytest.raises(ModelFailure, match=name):
                head.candidates(outputs, 0.5)


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_pure(name: str) -> None:
    head, shapes = HEADS[name]
    outputs = [np.random.default_rng(3).random(shape, np.float32) for shape in shapes]
    for output in outputs:
        output.flags.writeable = False
    first, second = head.candidates(outputs, 0.3), head.candidates(outputs, 0.3)
    assert len(first.scores) > 0
    assert (first.scores >= 0.3).all()
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert first.boxes.dtype == first.scores.dtype == np.float32
    assert first.classes.dtype == np.int32


def test_only_the_best_candidates_go_on() -> None:
    count = 3 * MAX_CANDIDATES
    raw = np.ones((5, count), np.float32)
    raw[4] = np.random.default_rng(0).permutation(np.linspace(0.1, 1, count))
    found = Yolov8Head(1).candidates([raw], 0.05)
    assert len(found.scores) == MAX_CANDIDATES
    assert found.scores.min() >= np.sort(raw[4])[-MAX_CANDIDATES]
