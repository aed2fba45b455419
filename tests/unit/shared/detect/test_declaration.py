"""Metadata and sidecars."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondlook.shared.detect.class_names import COCO
from secondlook.shared.detect.declaration import (
    MAX_SIDECAR_BYTES,
    Declaration,
    from_metadata,
    from_sidecar,
)
from secondlook.shared.errors import InvalidModel
from secondlook.shared.letterbox import Fit


def test_what_ultralytics_writes() -> None:
    said = from_metadata(
        {
            "author": "Ultralytics",
            "version": "8.4.190",
            "head": "Detect",
            "end2end": "False",
            "channels": "3",
            "args": "{'data': None, 'batch': 1, 'nms': False}",
            "task": "detect",
            "imgsz": "[384, 640]",
            "names": "{0: 'person'}",
            "stride": "32",
            "batch": "1",
            "description": "a model",
        },
        "x.onnx",
    )
    assert said == Declaration(names=("person",), size=(640, 384))


def test_ultralytics_tells_its_rtdetr_apart_by_the_head() -> None:
    said = {"author": "Ultralytics", "head": "RTDETRDecoder", "end2end": "False"}
    assert from_metadata(said, "x.onnx").head == "rtdetr_topk"
    assert from_metadata(said, "x.onnx", settled={"head"}).head is None


def test_what_our_demo_models_write() -> None:
    said = from_metadata(
        {
            "head": "yolov8",
            "input_layout": "nhwc_bgr_uint8",
            "letterbox": "topleft",
            "names": "['a', 'b']",
            "version": "3",
            "strides": "8,16",
            "pad": "0",
        },
        "x.onnx",
    )
    assert said == Declaration(
        head="yolov8",
        input_layout="nhwc_bgr_uint8",
        letterbox=Fit.TOP_LEFT,
        names=("a", "b"),
        version="3",
        strides=(8, 16),
        pad=0,
    )
    assert (said.layout, said.colour, said.unit_range) == ("nhwc", "bgr", False)


@pytest.mark.parametrize("task", ["segment", "pose", "classify", "obb"])
def test_other_tasks_are_told_apart(task: str) -> None:
    with pytest.raises(InvalidModel, match=task):
        from_metadata({"task": task}, "x.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", "wurst"),
        ("input_layout", "chwn_rgb_unit"),
        ("letterbox", "diagonal"),
        ("pad", "300"),
        ("pad", "grey"),
        ("names", "{0: person}"),
        ("strides", "1,2,3,4,5,6,7,8,9"),
        ("version", "v" * 101),
    ],
)
def test_a_known_key_with_a_bad_value_is_named(key: str, value: str) -> None:
    with pytest.raises(InvalidModel, match=rf"x\.onnx.*{key}|{key}.*x\.onnx"):
        from_metadata({key: value}, "x.onnx")


def test_nonsense_about_what_is_settled_does_not_matter() -> None:
    nonsense = {"head": "Detect3000", "names": "?", "pad": "grey", "letterbox": "diagonal"}
    assert from_metadata(nonsense, "x", settled=set(nonsense)) == Declaration()


@pytest.mark.parametrize(
    ("alias", "head"), [("yolo11", "yolov8"), ("yolov10", "end2end"), ("yolov7", "yolov5")]
)
def test_networks_may_be_named_for_their_heads(alias: str, head: str) -> None:
    assert from_metadata({"head": alias}, "x").head == head


def test_no_sidecar_says_nothing(tmp_path: Path) -> None:
    assert from_sidecar(tmp_path / "street.onnx") is None


def test_the_three_kinds_of_sidecar(tmp_path: Path) -> None:
    model = tmp_path / "street.onnx"
    (tmp_path / "street.txt").write_text("person\n\n traffic light \n", encoding="utf-8")
    assert from_sidecar(model) == Declaration(names=("person", "traffic light"))
    (tmp_path / "street.json").write_text(json.dumps({"names": ["a"], "head": "yolox"}))
    assert from_sidecar(model) == Declaration(names=("a",), head="yolox")
    (tmp_path / "street.toml").write_text('names = "coco"\nletterbox = "centred"\nsize = [64, 32]')
    assert from_sidecar(model) == Declaration(names=COCO, letterbox=Fit.CENTRED, size=(64, 32))


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("x.toml", b"names = [", "broken"),
        ("x.toml", b"nams = ['a']", "nams"),
        ("x.toml", b"\xff\xfe\x00", "broken"),
        ("x.toml", b"head = 3", "head"),
        ("x.toml", b"size = [1, 2, 3]", "size"),
        ("x.toml", b"names = [1]", "names"),
        ("x.json", b"[1, 2]", "list"),
        ("x.json", b"{", "broken"),
        ("x.json", b"[" * 100_000, "broken"),
        ("x.txt", b"", "empty"),
        ("x.txt", b"a\na\n", "both"),
        ("x.txt", b"a" * (MAX_SIDECAR_BYTES + 1), "larger"),
    ],
)
def test_a_bad_sidecar_is_named_with_what_is_wrong(
    tmp_path: Path, file: str, content: bytes, told: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidModel, match=rf"{file}.*{told}"):
        from_sidecar(tmp_path / "x.onnx")


def test_one_declaration_over_another() -> None:
    below = Declaration(names=("a",), head="yolox", pad=3)
    above = Declaration(head="yolov8")
    assert above.over(below) == Declaration(names=("a",), head="yolov8", pad=3)
