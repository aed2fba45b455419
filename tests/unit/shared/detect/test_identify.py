"""Telling heads apart by the shapes of their outputs."""

from __future__ import annotations

import pytest

from secondlook.shared.detect.class_names import COCO
from secondlook.shared.detect.declaration import Declaration
from secondlook.shared.detect.identify import Identified, OutputShape, identify
from secondlook.shared.errors import InvalidModel

NAMES = ("person", "car", "bottle")
TRIPLE = [
    OutputShape("labels", (300,), integer=True),
    OutputShape("boxes", (300, 4)),
    OutputShape("scores", (300,)),
]


def run(
    *shape: int | None,
    names: tuple[str, ...] | None = NAMES,
    size: tuple[int, int] = (640, 640),
    **declared: object,
) -> Identified:
    said = Declaration(names=names, **declared)  # type: ignore[arg-type]
    return identify("street.onnx", [OutputShape("out", shape)], *size, said)


@pytest.mark.parametrize(
    ("shape", "head"),
    [
        ((8400, 8), "yolox"),
        ((8400, 7), "yolov8"),
        ((7, 8400), "yolov8"),
        ((25200, 8), "yolov5"),
        ((300, 6), "end2end"),
        ((None, 6), "end2end"),
        ((300, 7), "rtdetr"),
    ],
)
def test_shapes_and_class_count_tell_the_head(shape: tuple[int | None, ...], head: str) -> None:
    found = run(*shape)
    assert found.head.name == head
    assert found.names == NAMES
    assert not found.assumed_coco


def test_the_larger_networks_have_a_fourth_map() -> None:
    anchors = (1280 // 8) ** 2 + (1280 // 16) ** 2 + (1280 // 32) ** 2 + (1280 // 64) ** 2
    assert run(anchors, 8, size=(1280, 1280)).head.name == "yolox"
    assert run(7, anchors, size=(1280, 1280)).head.name == "yolov8"


def test_declared_strides_count() -> None:
    assert run(80 * 80, 8, strides=(8,)).head.name == "yolox"


@pytest.mark.parametrize(("shape", "head"), [((8400, 85), "yolox"), ((84, 8400), "yolov8")])
def test_eighty_classes_without_names_are_coco(shape: tuple[int, int], head: str) -> None:
    found = run(*shape, names=None)
    assert (found.head.name, found.names, found.assumed_coco) == (head, COCO, True)


def test_labels_boxes_and_scores_in_any_order() -> None:
    for outputs in (TRIPLE, TRIPLE[::-1]):
        found = identify("x.onnx", outputs, 640, 640, Declaration(names=NAMES))
        assert found.head.name == "detr_triple"


def test_the_wrong_class_count_states_both() -> None:
    with pytest.raises(InvalidModel, match=r"2 names.*3 classes") as caught:
        run(7, 8400, names=("a", "b"))
    assert "street.toml" in caught.value.remedy


def test_two_classes_fit_two_heads_and_a_declared_head_settles_it() -> None:
    with pytest.raises(InvalidModel, match="end2end or rtdetr") as caught:
        run(300, 6, names=("a", "b"))
    assert "sidecar" in caught.value.remedy
    assert run(300, 6, names=("a", "b"), head="rtdetr").head.name == "rtdetr"
    assert run(300, 6, names=("a", "b"), head="end2end").head.name == "end2end"
    assert run(300, 6, names=("a", "b"), head="rtdetr_topk").head.name == "rtdetr_topk"


@pytest.mark.parametrize("shape", [(8400, 7), (300, 6), (7, 8400)])
def test_no_names_and_no_way_to_guess_them(shape: tuple[int, int]) -> None:
    with pytest.raises(InvalidModel) as caught:
        run(*shape, names=None)
    assert str(shape[0]) in str(caught.value)
    assert "names" in caught.value.remedy


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [OutputShape("out", (1000,))],
        [OutputShape("out", (85, 13, 13))],
        [OutputShape("out", (5000, 8))],
        [OutputShape("out", (None, None))],
        [OutputShape("a", (7, 8400)), OutputShape("mask", (32, 160, 160))],
        [OutputShape("labels", (300,)), OutputShape("b", (300, 4)), OutputShape("s", (300,))],
    ],
)
def test_an_unknown_head_shows_shapes_and_remedy(outputs: list[OutputShape]) -> None:
    with pytest.raises(InvalidModel, match="cannot tell its head") as caught:
        identify("x.onnx", outputs, 640, 640, Declaration(names=NAMES))
    for output in outputs:
        assert str(output) in caught.value.message
    assert "x.toml" in caught.value.remedy


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ("yolox", [OutputShape("out", (8000, 8))]),
        ("yolox", TRIPLE),
        ("detr_triple", [OutputShape("out", (8400, 8))]),
        ("yolov8", [OutputShape("out", (7,))]),
        ("yolov8", []),
        ("end2end", [OutputShape("out", (300, 7))]),
        ("rtdetr_topk", [OutputShape("out", (300, 84))]),
        ("detr_triple", TRIPLE[:2] + TRIPLE[:1]),
    ],
)
def test_a_declared_head_must_fit(head: str, outputs: list[OutputShape]) -> None:
    with pytest.raises(InvalidModel, match=head):
        identify("x.onnx", outputs, 640, 640, Declaration(names=NAMES, head=head))  # type: ignore[arg-type]
