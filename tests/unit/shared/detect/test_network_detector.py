"""What the detector over a network adds to the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.networks import blank, paint, write_bright_spot_model

from secondlook.shared.detect import load_detector
from secondlook.shared.detect.heads import HEAD_NAMES
from secondlook.shared.detect.network_detector import MAX_DETECTIONS, StageTimings
from secondlook.shared.errors import InvalidInput, ModelFailure


def scene() -> np.ndarray:
    image = blank(128, 96)
    paint(image, (16, 16, 64, 64), "car")
    return image


def with_white() -> np.ndarray:
    image = scene()
    image[80:90, 80:90] = 255
    return image


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_a_network_of_nan_fails_and_is_named(tmp_path: Path, head: str) -> None:
    detector = load_detector(
        write_bright_spot_model(tmp_path / "mad.onnx", head=head, fault="nan", version="9")
    )
    for _ in range(2):
        with pytest.raises(ModelFailure, match=r"model mad \(9\).*not finite"):
            detector.detect([scene()])


@pytest.mark.parametrize(
    ("head", "fault", "told"),
    [
        ("yolox", "nan_on_white", "not finite"),
        ("yolov8", "nan_on_white", "not finite"),
        ("rtdetr", "nan_on_white", "not finite"),
        ("yolox", "shape_on_white", "shape"),
        ("yolov8", "shape_on_white", "shape"),
    ],
)
def test_a_failure_leaves_the_detector_usable(
    tmp_path: Path, head: str, fault: str, told: str
) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx", head=head, fault=fault))
    good = detector.detect([scene()], 0.3)[0]
    with pytest.raises(ModelFailure, match=told):
        detector.detect([with_white()])
    again = detector.detect([scene()], 0.3)[0]
    np.testing.assert_array_equal(again.boxes, good.boxes)


def test_one_bad_picture_fails_the_whole_call_and_only_that_call(tmp_path: Path) -> None:
    detector = load_detector(
        write_bright_spot_model(tmp_path / "x.onnx", fault="nan_on_white"), max_batch=2
    )
    with pytest.raises(ModelFailure):
        detector.detect([scene(), with_white(), scene()])
    assert [len(found) for found in detector.detect([scene()] * 3, 0.3)] == [1, 1, 1]


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_scores_above_one_tell_of_a_missing_sigmoid(tmp_path: Path, head: str) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx", head=head, fault="score"))
    with pytest.raises(ModelFailure, match=r"between 0 and 1|class"):
        detector.detect([scene()])


@pytest.mark.parametrize("head", ["end2end", "rtdetr_topk", "detr_triple"])
def test_classes_outside_the_list_are_nonsense(tmp_path: Path, head: str) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx", head=head, fault="class"))
    with pytest.raises(ModelFailure, match="3 classes"):
        detector.detect([scene()])


def test_no_more_than_the_best_boxes_are_given(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", size=(1024, 512))
    image = blank(1024, 512)
    for number in range(MAX_DETECTIONS + 100):
        x, y = number % 32 * 32, number // 32 * 32
        paint(image, (x, y, x + 8, y + 8), "car", score=0.4 + number / 1000)
    (found,) = load_detector(path).detect([image], 0.3)
    assert len(found) == MAX_DETECTIONS
    assert found.scores.min() >= 0.49


def test_nms_iou_decides_what_is_one_object(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", head="yolov8")
    # Every sampled point of a rectangle proposes it: without suppression there are many.
    assert len(load_detector(path, nms_iou=0.65).detect([scene()], 0.3)[0]) == 1
    assert len(load_detector(path, nms_iou=1.0).detect([scene()], 0.3)[0]) > 10


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_batches_are_cut_to_what_the_network_takes(tmp_path: Path, batch: int | None) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", batch=batch)
    detector = load_detector(path, max_batch=3)
    assert detector.info.max_batch == (batch or 3)
    images = []
    for number in range(7):
        image = blank(128, 96)
        paint(image, (8, 8, 40 + 8 * number, 64), "car")
        images.append(image)
    found = detector.detect(images, 0.3)
    assert [f.boxes[0, 2] for f in found] == [40 + 8 * number for number in range(7)]


def test_buffers_are_made_once(tmp_path: Path) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx"), max_batch=4)
    for count in (1, 4, 2, 1):
        detector.detect([scene()] * count)
    before = detector._buffer.array.ctypes.data
    bound = dict(detector._network._bound)
    assert set(bound) == {1, 2, 4}
    for count in (3, 4, 2, 1, 9):
        detector.detect([scene()] * count)
    assert detector._buffer.array.ctypes.data == before
    assert all(detector._network._bound[count] is bound[count] for count in bound)


def test_answers_do_not_change_when_the_buffers_are_used_again(tmp_path: Path) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx", head="end2end"))
    (first,) = detector.detect([scene()], 0.3)
    kept = first.boxes.copy(), first.scores.copy()
    detector.detect([blank(128, 96)])
    np.testing.assert_array_equal(first.boxes, kept[0])
    np.testing.assert_array_equal(first.scores, kept[1])


def test_stage_timings_tell_of_the_last_call(tmp_path: Path) -> None:
    detector = load_detector(write_bright_spot_model(tmp_path / "x.onnx"))
    assert detector.stage_timings == StageTimings()
    detector.detect([scene()])
    timings = detector.stage_timings
    assert timings.run_s > 0
    assert timings.preprocess_s > 0
    assert timings.postprocess_s > 0
    assert timings.bytes_written == 128 * 96 * 3
    detector.detect([scene()] * 3)
    assert detector.stage_timings.bytes_written == 3 * 128 * 96 * 3
    detector.detect([])
    assert detector.stage_timings == StageTimings()


def test_padding_holds_no_boxes(tmp_path: Path) -> None:
    # A wide picture in a tall input; a painted edge must not leak into the padding.
    path = write_bright_spot_model(tmp_path / "x.onnx", size=(96, 192), letterbox="centred")
    image = blank(192, 64)
    paint(image, (0, 0, 192, 64), "car")
    (found,) = load_detector(path).detect([image], 0.3)
    np.testing.assert_allclose(found.boxes, [[0, 0, 192, 64]])


@pytest.mark.parametrize("batch", [None, 2])
def test_what_the_network_is_fed_with_can_be_had(tmp_path: Path, batch: int | None) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", head="detr_triple", batch=batch)
    detector = load_detector(path)
    fed = detector.prepare(scene())
    kept = {name: array.copy() for name, array in fed.items()}
    rows = batch or 1
    assert fed["images"].shape == (rows, 96, 128, 3)
    np.testing.assert_array_equal(fed["images"][-1], scene())
    np.testing.assert_array_equal(fed["orig_target_sizes"], [[128, 96]] * rows)
    detector.detect([blank(128, 96)])
    for name, array in kept.items():
        np.testing.assert_array_equal(fed[name], array)
    with pytest.raises(InvalidInput):
        detector.prepare(np.zeros((4, 4), np.uint8))
