"""From a file to a detector: what is declared, and by whom."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs
from support.networks import NAMES, blank, paint, write_bright_spot_model

from secondlook.shared.detect import COCO, load_detector
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.letterbox import Fit


def test_the_file_itself_is_enough(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "street.onnx", version="7")
    info = load_detector(path).info
    assert (info.name, info.version, info.names) == ("street", "7", NAMES)
    assert (info.width, info.height, info.head) == (128, 96, "yolov8")


def test_without_a_version_the_content_is_the_version(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "street.onnx", version=None)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_detector(str(path)).info.version == f"sha256:{digest[:12]}"


def test_arguments_win_over_sidecar_over_metadata(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "street.onnx", version="metadata")
    sidecar = tmp_path / "street.json"
    sidecar.write_text(json.dumps({"names": ["a", "b", "c"], "version": "sidecar"}))
    info = load_detector(path).info
    assert (info.names, info.version) == (("a", "b", "c"), "sidecar")
    info = load_detector(path, name="n", version="argument", names=["x", "y", "z"]).info
    assert (info.name, info.names, info.version) == ("n", ("x", "y", "z"), "argument")


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        ("yolox", "nchw_bgr_255"),
        ("yolov5", "nchw_rgb_unit"),
        ("yolov8", "nchw_rgb_unit"),
        ("yolov8", "nhwc_bgr_uint8"),
        ("end2end", "nchw_rgb_unit"),
        ("rtdetr", "nchw_rgb_unit"),
        ("detr_triple", "nchw_rgb_unit"),
    ],
)
def test_a_file_that_declares_nothing_is_read_by_its_shapes(
    tmp_path: Path, head: str, layout: str
) -> None:
    path = write_bright_spot_model(
        tmp_path / "x.onnx", head=head, input_layout=layout, metadata=False
    )
    detector = load_detector(path, names=NAMES)
    assert detector.info.head == head
    image = blank(256, 96)
    paint(image, (40, 20, 120, 80), "bottle", score=0.8)
    (found,) = detector.detect([image], 0.3)
    assert found.class_names() == ["bottle"]
    np.testing.assert_allclose(found.boxes, [[40, 20, 120, 80]], atol=2)
    np.testing.assert_allclose(found.scores, [0.8], atol=0.01)


def test_eighty_classes_without_names_are_taken_for_coco_and_it_is_told(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", names=COCO, metadata=False)
    with capture_logs() as logs:
        assert load_detector(path).info.names == COCO
    assert [entry["model"] for entry in logs if "COCO" in entry["event"]] == ["x.onnx"]
    with capture_logs() as logs:
        assert load_detector(path, names="coco").info.names == COCO
    assert logs == []


def test_the_wrong_number_of_names_states_both_counts(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx")
    with pytest.raises(InvalidModel, match=r"2 names.*3 classes"):
        load_detector(path, names=["a", "b"])


def test_no_names_at_all(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", metadata=False)
    with pytest.raises(InvalidModel, match="no class names") as caught:
        load_detector(path)
    assert str(tmp_path / "x.toml") in caught.value.remedy


@pytest.mark.parametrize("fit", list(Fit))
def test_the_letterbox_may_be_declared(tmp_path: Path, fit: Fit) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", letterbox=fit.value)
    image = blank(100, 200)
    paint(image, (20, 100, 80, 180), "car")
    (found,) = load_detector(path).detect([image], 0.3)
    np.testing.assert_allclose(found.boxes, [[20, 100, 80, 180]], atol=3)


def test_an_input_of_open_size_needs_the_size_declared(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", open_size=True)
    with pytest.raises(InvalidModel, match="open size") as caught:
        load_detector(path)
    assert "x.toml" in caught.value.remedy
    (tmp_path / "x.toml").write_text("size = [128, 96]")
    info = load_detector(path).info
    assert (info.width, info.height) == (128, 96)
    (tmp_path / "x.toml").write_text("size = [60000, 60000]")
    with pytest.raises(InvalidModel, match="60000"):
        load_detector(path)
    (tmp_path / "x.toml").write_text("size = [100, 100]")
    with pytest.raises(InvalidModel, match="100x100"):
        load_detector(path)


@pytest.mark.parametrize("layout", ["nchw_rgb_uint8", "nhwc_bgr_unit", "nhwc_bgr_255"])
def test_a_declared_layout_must_fit_the_input(tmp_path: Path, layout: str) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx", input_layout="nhwc_bgr_uint8")
    (tmp_path / "x.toml").write_text(f'input_layout = "{layout}"')
    with pytest.raises(InvalidModel, match=layout):
        load_detector(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("threads", -1), ("threads", 2000), ("max_batch", 0), ("max_batch", 5000), ("nms_iou", 0.0),
     ("nms_iou", 1.5)],
)  # fmt: skip
def test_numbers_out_of_range_are_named(tmp_path: Path, field: str, value: float) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx")
    with pytest.raises(InvalidConfig, match=field):
        load_detector(path, **{field: value})


def test_an_unknown_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="wurst"):
        load_detector(write_bright_spot_model(tmp_path / "x.onnx"), head="wurst")


def _network(path: Path, inputs: list[tuple[str, int, list[int]]]) -> Path:
    """A network with these inputs that gives its first one back."""
    values = [helper.make_tensor_value_info(n, kind, shape) for n, kind, shape in inputs]
    out = helper.make_tensor_value_info("out", inputs[0][1], inputs[0][2])
    nodes = [helper.make_node("Identity", [inputs[0][0]], ["out"])]
    graph = helper.make_graph(nodes, "g", values, [out])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([("x", FLOAT, [1, 10])], "one image of 4 axes"),
        ([("x", FLOAT, [1, 1, 64, 64])], "1 channels"),
        ([("x", FLOAT, [1, 4, 64, 64])], "4 channels"),
        ([("x", INT64, [1, 3, 64, 64])], "uint8 or float"),
        ([("x", FLOAT, [1, 3, 64, 64]), ("y", FLOAT, [1, 3, 64, 64])], "one image"),
        ([("x", FLOAT, [1, 3, 64, 64])], "cannot tell its head"),
        ([("x", FLOAT, [1, 3, 100000, 64])], "100000"),
    ],
)
def test_networks_that_are_no_detectors(
    tmp_path: Path, inputs: list[tuple[str, int, list[int]]], told: str
) -> None:
    with pytest.raises(InvalidModel, match=told):
        load_detector(_network(tmp_path / "x.onnx", inputs), names=NAMES)


@pytest.mark.real_material
def test_the_real_light_model_loads_without_a_sidecar(material: Path) -> None:
    info = load_detector(material / "models" / "yolox_nano.onnx").info
    assert (info.head, info.names, info.width) == ("yolox", COCO, 416)


@pytest.mark.real_material
def test_the_real_heavy_model_brings_its_names(material: Path) -> None:
    with capture_logs() as logs:
        info = load_detector(material / "models" / "yolov8s_640.onnx").info
    assert (info.head, info.names, info.width) == ("yolov8", COCO, 640)
    assert logs == []


def test_a_sidecar_mends_metadata_of_another_tool(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "x.onnx")
    model = onnx.load(path)
    helper.set_model_props(model, {"names": "{0: person}", "head": "TheirHead"})
    onnx.save(model, str(path))
    with pytest.raises(InvalidModel, match="names"):
        load_detector(path)
    (tmp_path / "x.toml").write_text('names = ["a", "b", "c"]\nhead = "yolov8"')
    assert load_detector(path).info.names == ("a", "b", "c")
