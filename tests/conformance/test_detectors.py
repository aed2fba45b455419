"""Every MUST of `secondlook.shared.detect.Detector`, over every kind of network."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.networks import blank, paint, write_bright_spot_model

from secondlook.shared import geometry
from secondlook.shared.detect import Detector, load_detector
from secondlook.shared.errors import InvalidInput, Unavailable
from secondlook.shared.sim import StreetCamera, StreetConfig
from secondlook.shared.values import Detections
from secondlook.shared.values.frame import MAX_SIDE_PX
from secondlook.shared.zoo import model_path

Object = tuple[str, tuple[float, float, float, float]]


@dataclass(frozen=True)
class Subject:
    """A detector under test, pictures, and what is in them."""

    detector: Detector
    scenes: list[tuple[np.ndarray, list[Object]]]
    min_iou: float = 0.9
    empty_score: float = 0.05
    """Nothing in an empty picture may score more."""
    complete: bool = True
    """The scenes list everything that is there: whatever else is found is a false alarm."""


Maker = Callable[[Path, Path], Subject]


def _painted_scenes() -> list[tuple[np.ndarray, list[Object]]]:
    wide, tall = blank(320, 180), blank(120, 200)
    wide_objects: list[Object] = [("car", (40, 60, 120, 140)), ("bottle", (200, 20, 300, 100))]
    tall_objects: list[Object] = [("person", (30, 50, 90, 150))]
    for image, objects in ((wide, wide_objects), (tall, tall_objects)):
        for score, (name, box) in zip((0.9, 0.6), objects, strict=False):
            paint(image, box, name, score=score)
    return [(wide, wide_objects), (tall, tall_objects), (blank(64, 64), [])]


def _tiny(**options: object) -> Maker:
    def make(folder: Path, material: Path) -> Subject:
        path = write_bright_spot_model(folder / "tiny.onnx", **options)  # type: ignore[arg-type]
        return Subject(load_detector(path, threads=1, max_batch=3), _painted_scenes())

    return make


FRAMES = {
    # Looked at, and the boxes checked by eye on the annotated pictures.
    "one-by-one-person-detection.mp4": (100, [("person", (382, 15, 515, 400))]),
    "bottle-detection.mp4": (
        150,
        [
            ("bottle", (56, 108, 123, 315)),
            ("bottle", (286, 109, 345, 316)),
            ("bottle", (508, 107, 572, 317)),
        ],
    ),
    "highway.avi": (
        300,
        [
            ("car", (25, 160, 104, 231)),
            ("car", (162, 49, 198, 82)),
            ("car", (203, 8, 227, 32)),
        ],
    ),
}


def _frame(clip: Path, number: int) -> np.ndarray:
    capture = cv2.VideoCapture(str(clip))
    try:
        for _ in range(number + 1):
            assert capture.grab(), f"{clip} has no frame {number}"
        return capture.retrieve()[1]
    finally:
        capture.release()


def _real(name: str) -> Maker:
    def make(folder: Path, material: Path) -> Subject:
        detector = load_detector(material / "models" / f"{name}.onnx", max_batch=2)
        scenes = [
            (_frame(material / "clips" / clip, number), objects)
            for clip, (number, objects) in FRAMES.items()
        ]
        return Subject(detector, scenes, min_iou=0.8, empty_score=0.3)

    return make


def _shipped(name: str) -> Maker:
    def make(folder: Path, material: Path) -> Subject:
        detector = load_detector(model_path(name), max_batch=3)
        scenes = [_street(640, 384), _street(480, 288), _street(640, 384, seed=92)]
        return Subject(detector, scenes, min_iou=0.6, empty_score=0.5, complete=False)

    return make


def _street(width: int, height: int, seed: int = 91) -> tuple[np.ndarray, list[Object]]:
    """A dry noon, and the largest car of it: no detector of streets may miss that one."""
    config = StreetConfig(seed=seed, width=width, height=height, hour=12.0, rain=0.0, noise=0.2)
    camera = StreetCamera(config)
    best: tuple[float, np.ndarray, list[Object]] = (0.0, blank(width, height), [])
    for index in range(0, 200, 20):
        drawn = camera.draw(index)
        cars = drawn.truth.select(~drawn.ignore).of_classes(["car"])
        if len(cars) and cars.areas().max() > best[0]:
            box = tuple(cars.boxes[cars.areas().argmax()].tolist())
            best = (float(cars.areas().max()), drawn.image, [("car", box)])
    return best[1], best[2]


KINDS: dict[str, Maker] = {
    "yolox-nchw-bgr": _tiny(head="yolox", input_layout="nchw_bgr_255"),
    "yolov5-nchw-rgb": _tiny(head="yolov5", input_layout="nchw_rgb_unit"),
    "yolov8-nhwc-uint8": _tiny(head="yolov8"),
    "yolov8-nhwc-uint8-rgb": _tiny(head="yolov8", input_layout="nhwc_rgb_uint8"),
    "yolov8-nchw-rgb": _tiny(head="yolov8", input_layout="nchw_rgb_unit"),
    "yolov8-transposed": _tiny(head="yolov8", transposed=True),
    "yolov8-topleft": _tiny(head="yolov8", letterbox="topleft"),
    "yolov8-fixed-batch-1": _tiny(head="yolov8", batch=1),
    "yolov8-fixed-batch-4": _tiny(head="yolov8", batch=4, input_layout="nchw_rgb_unit"),
    "yolov8-half": _tiny(head="yolov8", half=True, input_layout="nchw_rgb_unit"),
    "yolox-half-nhwc": _tiny(head="yolox", half=True, input_layout="nhwc_bgr_255"),
    "end2end": _tiny(head="end2end", input_layout="nchw_rgb_unit"),
    "end2end-open-rows": _tiny(head="end2end", fault="shape_on_white"),
    "rtdetr": _tiny(head="rtdetr", input_layout="nchw_rgb_unit"),
    "rtdetr-topk": _tiny(head="rtdetr_topk", input_layout="nchw_rgb_unit"),
    "detr-triple": _tiny(head="detr_triple", input_layout="nchw_rgb_unit"),
    "detr-triple-centred": _tiny(head="detr_triple", letterbox="centred"),
}
SHIPPED = {name: _shipped(name) for name in ("street_light", "street_heavy")}
REAL = {name: _real(name) for name in ("yolox_nano", "yolov8s_640")}

PARAMETERS = [pytest.param(make, id=name) for name, make in (KINDS | SHIPPED).items()] + [
    pytest.param(make, id=name, marks=pytest.mark.real_material) for name, make in REAL.items()
]


@pytest.fixture(params=PARAMETERS, scope="module")
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """One detector of each kind, shared by the tests of this module."""
    material = Path(__file__).resolve().parents[3] / "shared"
    subject = request.param(tmp_path_factory.mktemp("model"), material)
    yield subject
    subject.detector.close()


def check_promises(found: Detections, image: np.ndarray, min_score: float) -> None:
    """What holds for every answer."""
    height, width = image.shape[:2]
    assert (np.diff(found.scores) <= 0).all(), "best score first"
    assert (found.scores >= min_score).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2] <= width).all()
    assert (found.boxes[:, 3] <= height).all()
    assert (found.areas() > 0).all()


def assert_same(a: Detections, b: Detections) -> None:
    """The same boxes, within float error."""
    assert a.class_names() == b.class_names()
    np.testing.assert_allclose(a.boxes, b.boxes, atol=0.05)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)


def test_is_a_detector_and_tells_what_it_is(subject: Subject) -> None:
    info = subject.detector.info
    assert isinstance(subject.detector, Detector)
    assert info.name
    assert info.version
    assert info.provider == "CPU"
    assert info.max_batch >= 1
    assert min(info.width, info.height) >= 32
    assert {name for _, objects in subject.scenes for name, _ in objects} <= set(info.names)


def test_finds_what_is_there(subject: Subject) -> None:
    for image, objects in subject.scenes:
        (found,) = subject.detector.detect([image], min_score=0.4)
        check_promises(found, image, 0.4)
        assert found.names == subject.detector.info.names
        for name, box in objects:
            ours = found.of_classes([name])
            overlap = geometry.iou(np.array([box], np.float32), ours.boxes)
            assert overlap.max(initial=0) >= subject.min_iou, f"{name} at {box}: {ours.boxes}"
        if subject.complete:
            strong = found.select(found.scores > 0.7)
            assert set(strong.class_names()) <= {name for name, _ in objects}
            assert len(strong) <= len(objects)


def test_promises_hold_at_every_min_score(subject: Subject) -> None:
    image = subject.scenes[0][0]
    counts = []
    for min_score in (0.0, 0.05, 0.5, 1.0):
        (found,) = subject.detector.detect([image], min_score=min_score)
        check_promises(found, image, min_score)
        counts.append(len(found))
    assert counts == sorted(counts, reverse=True)


def test_an_image_gets_the_same_boxes_whatever_is_in_its_batch(subject: Subject) -> None:
    images = [image for image, _ in subject.scenes]
    alone = [subject.detector.detect([image], min_score=0.3)[0] for image in images]
    together = subject.detector.detect([*images, images[0]], min_score=0.3)
    assert len(together) == len(images) + 1
    for a, b in zip([*alone, alone[0]], together, strict=True):
        assert_same(a, b)


def test_takes_more_images_than_the_network_does_at_once(subject: Subject) -> None:
    image = subject.scenes[0][0]
    count = subject.detector.info.max_batch + 1
    found = subject.detector.detect([image] * count, min_score=0.3)
    assert len(found) == count
    for other in found[1:]:
        assert_same(found[0], other)


def test_no_images_no_answers(subject: Subject) -> None:
    assert subject.detector.detect([]) == []


def test_images_are_left_untouched_and_not_kept(subject: Subject) -> None:
    image = subject.scenes[0][0].copy()
    before = image.copy()
    (found,) = subject.detector.detect([image], min_score=0.3)
    np.testing.assert_array_equal(image, before)
    boxes = found.boxes.copy()
    image[:] = 0
    subject.detector.detect([image])
    np.testing.assert_array_equal(found.boxes, boxes)
    alive = weakref.ref(image)
    del image
    gc.collect()
    assert alive() is None


def test_read_only_images_and_views_are_images(subject: Subject) -> None:
    image = subject.scenes[0][0]
    (whole,) = subject.detector.detect([image], min_score=0.3)
    frozen = image.copy()
    frozen.flags.writeable = False
    framed = cv2.copyMakeBorder(image, 5, 7, 9, 11, cv2.BORDER_CONSTANT)
    window = framed[5:-7, 9:-11]
    mirrored_twice = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    for other in (frozen, window, mirrored_twice):
        assert_same(whole, subject.detector.detect([other], min_score=0.3)[0])


def test_any_size_is_answered(subject: Subject) -> None:
    images = [blank(*size) for size in ((1, 1), (1, 700), (900, 2), (31, 33))]
    for image, found in zip(images, subject.detector.detect(images, 0.0), strict=True):
        check_promises(found, image, 0.0)
        assert found.scores.max(initial=0) <= subject.empty_score


NO_IMAGES = {
    "grey": np.zeros((10, 10), np.uint8),
    "four channels": np.zeros((10, 10, 4), np.uint8),
    "floats": np.zeros((10, 10, 3), np.float32),
    "empty": np.zeros((0, 10, 3), np.uint8),
    "too wide": np.zeros((1, MAX_SIDE_PX + 1, 3), np.uint8),
    "a list": [[1, 2, 3]],
    "nothing": None,
}


def test_what_is_no_image_is_refused_before_anything_runs(subject: Subject) -> None:
    good = subject.scenes[0][0]
    (before,) = subject.detector.detect([good], min_score=0.3)
    for image in NO_IMAGES.values():
        with pytest.raises(InvalidInput):
            subject.detector.detect([good, image])  # type: ignore[list-item]
    assert_same(before, subject.detector.detect([good], min_score=0.3)[0])


def test_an_impossible_min_score_is_refused(subject: Subject) -> None:
    for min_score in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInput, match="min_score"):
            subject.detector.detect([subject.scenes[0][0]], min_score=min_score)


@dataclass
class _Answers:
    found: list[Detections] = field(default_factory=list)


def test_any_thread_may_call(subject: Subject) -> None:
    image = subject.scenes[0][0]
    answers = _Answers()

    def call() -> None:
        answers.found += subject.detector.detect([image], min_score=0.3)

    for _ in range(2):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(60)
    assert len(answers.found) == 2
    for found in answers.found:
        assert_same(found, subject.detector.detect([image], min_score=0.3)[0])


def test_warm_up_changes_no_answer(subject: Subject) -> None:
    image = subject.scenes[0][0]
    before = subject.detector.detect([image], min_score=0.3)[0]
    subject.detector.warm_up()
    assert_same(before, subject.detector.detect([image], min_score=0.3)[0])


@pytest.mark.parametrize("make", PARAMETERS)
def test_a_closed_detector_says_so(make: Maker, tmp_path: Path, material: Path) -> None:
    detector = make(tmp_path, material).detector
    detector.close()
    detector.close()
    with pytest.raises(Unavailable, match="closed"):
        detector.detect([blank(64, 64)])
    assert detector.info.names
