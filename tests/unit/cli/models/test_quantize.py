"""`secondlook models quantize`: a variant is made, measured, and let in or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.networks import blank, write_bright_spot_model
from support.networks_raw import write_identity_model

from secondlook.cli.main import run
from secondlook.cli.models import precision
from secondlook.cloud.backends import open_backend
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.repository.variants import RECORD, read_record
from secondlook.shared import geometry
from secondlook.shared.errors import InvalidModel
from secondlook.shared.sim import StreetCamera, StreetConfig
from secondlook.shared.zoo import model_path

PICTURES = 10


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of a street."""
    folder = tmp_path_factory.mktemp("street")
    camera = StreetCamera(StreetConfig(seed=5, width=640, height=384, hour=12.0))
    for index in range(PICTURES):
        assert cv2.imwrite(str(folder / f"{index}.png"), camera.draw(index * 25).image)
    return folder


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory, street: Path) -> Path:
    """A version's folder with the small street detector and its int8 variant."""
    folder = tmp_path_factory.mktemp("model") / "1"
    folder.mkdir()
    shutil.copy(model_path("street_light"), folder / "model.onnx")
    arguments = ["--images", str(street), "--threads", "1", "--min-f1", "0.8"]
    assert run(["models", "quantize", str(folder / "model.onnx"), *arguments]) == 0
    return folder


@pytest.fixture
def version(quantized: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(quantized, tmp_path / "1"))


def opened(folder: Path, file: str = "model.int8.onnx", variant: str = "int8") -> Any:
    config = ModelConfig("m", "onnxruntime", variants={"int8": "model.int8.onnx"})
    return open_backend(Release(config, "1", folder / file, variant), threads=1)


def test_the_record_says_what_was_made_and_measured(quantized: Path) -> None:
    assert sorted(path.name for path in quantized.iterdir()) == [
        "model.int8.onnx",
        "model.onnx",
        RECORD,
    ]
    measured = read_record(quantized).variants["int8"]
    assert (measured.file, measured.base) == ("model.int8.onnx", "model.onnx")
    assert 0.8 <= measured.f1 <= 1
    assert measured.images == PICTURES // 2
    assert measured.boxes > 0
    assert measured.left_out > 0
    assert set(measured.tools) == {"onnx", "onnxruntime"}


def test_weights_are_of_8_bits_and_the_end_is_not(quantized: Path) -> None:
    graph = onnx.load(str(quantized / "model.int8.onnx")).graph
    small = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.INT8}
    assert len(small) > 10
    makers = {name: node for node in graph.node for name in node.output}
    last = makers[graph.output[0].name]
    assert last.op_type == "Concat"
    assert all(makers[name].op_type != "DequantizeLinear" for name in last.input)


def test_the_variant_is_served_as_its_model_is(quantized: Path) -> None:
    base, variant = opened(quantized, "model.onnx", "fp32"), opened(quantized)
    assert variant.signature == base.signature
    assert variant.detector.info.names == base.detector.info.names
    image = StreetCamera(StreetConfig(seed=5, width=640, height=384, hour=12.0)).draw(40).image
    expected = base.detector.detect([image], 0.5)[0]
    given = variant.detector.detect([image], 0.3)[0]
    assert len(expected) > 0
    overlap = geometry.iou(expected.boxes, given.boxes).max(axis=1)
    assert (overlap > 0.7).mean() > 0.8


SPOILERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no record": (lambda folder: (folder / RECORD).unlink(), "no measured agreement"),
    "a broken record": (lambda folder: (folder / RECORD).write_text("{"), RECORD),
    "a record of nothing": (
        lambda folder: (folder / RECORD).write_text('{"variants": {}}'),
        "no measured agreement",
    ),
    "another variant": (
        lambda folder: (folder / "model.int8.onnx").write_bytes(
            (folder / "model.onnx").read_bytes()
        ),
        r"another model\.int8\.onnx",
    ),
    "another model": (
        lambda folder: shutil.copy(model_path("street_heavy"), folder / "model.onnx"),
        r"another model\.onnx",
    ),
    "no model": (lambda folder: (folder / "model.onnx").unlink(), "does not exist"),
}


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_a_variant_without_a_matching_record_is_not_loaded(version: Path, spoiler: str) -> None:
    spoil, told = SPOILERS[spoiler]
    spoil(version)
    with pytest.raises(InvalidModel, match=told):
        opened(version)


def test_a_record_of_too_little_agreement_lets_nothing_in(version: Path) -> None:
    said = json.loads((version / RECORD).read_text())
    said["variants"]["int8"] |= {"f1": 0.5, "min_f1": 0.95}
    (version / RECORD).write_text(json.dumps(said))
    with pytest.raises(InvalidModel, match=r"only to F1 0\.500"):
        opened(version)


def test_too_little_agreement_is_refused_with_the_numbers(
    version: Path, street: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in version.iterdir()}
    # Of the many boxes of next to no score some always differ.
    arguments = ["--images", str(street), "--threads", "1", "--score", "0.01", "--min-f1", "1"]
    assert run(["models", "quantize", str(version / "model.onnx"), *arguments, "--json"]) == 2
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert said["accepted"] is False
    assert 0.5 < said["f1"] < 1
    assert f"F1 {said['f1']:.4f}" in shown.err
    assert "at least F1 1 is asked for" in shown.err
    assert {path.name: path.read_bytes() for path in version.iterdir()} == before


def test_a_variant_that_gives_nonsense_is_refused(
    version: Path,
    street: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of a detector in 8 bits: that is why its end is left alone."""
    monkeypatch.setattr(precision, "decoding_nodes", lambda _: [])
    before = {path.name: path.read_bytes() for path in version.iterdir()}
    arguments = ["--images", str(street), "--threads", "1"]
    assert run(["models", "quantize", str(version / "model.onnx"), *arguments]) == 2
    assert "in int8" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in version.iterdir()} == before


def test_halves_stand_in_the_record_beside_the_8_bits(
    version: Path, street: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--images", str(street), "--threads", "1", "--to", "fp16", "--json"]
    assert run(["models", "quantize", str(version / "model.onnx"), *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["f1"] >= 0.95
    assert said["file"] == "model.fp16.onnx"
    assert set(read_record(version).variants) == {"int8", "fp16"}
    halves = (version / "model.fp16.onnx").stat().st_size
    assert halves < 0.7 * (version / "model.onnx").stat().st_size
    variant = opened(version, "model.fp16.onnx", "fp16")
    assert variant.signature.inputs == opened(version, "model.onnx", "fp32").signature.inputs


def test_nodes_that_decode_are_found_from_the_outputs_backwards() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="body"),
        helper.make_node("Relu", ["a"], ["b"], name="between"),
        helper.make_node("Conv", ["b", "w"], ["c"], name="boxes"),
        helper.make_node("Conv", ["b", "w"], ["d"], name="scores"),
        helper.make_node("Sigmoid", ["d"], ["e"], name="sigmoid"),
        helper.make_node("Concat", ["c", "e"], ["y"], name="join", axis=1),
        helper.make_node("Identity", ["y"], ["z"], name="out"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 1, 4, 4]), value("w", TensorProto.FLOAT, [1, 1, 1, 1])],
        [value("z", TensorProto.FLOAT, None)],
    )
    found = precision.decoding_nodes(helper.make_model(graph))
    assert found == ["boxes", "join", "out", "scores", "sigmoid"]


def test_what_cannot_be_ordered_is_told(
    tmp_path: Path, street: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_bright_spot_model(tmp_path / "model.onnx")
    dark = tmp_path / "dark"
    dark.mkdir()
    for index in range(4):
        cv2.imwrite(str(dark / f"{index}.png"), blank(64, 64))
    alone = tmp_path / "alone"
    alone.mkdir()
    cv2.imwrite(str(alone / "a.png"), np.zeros((8, 8, 3), np.uint8))
    tensors = write_identity_model(tmp_path / "t.onnx", TensorProto.FLOAT)
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"\x08\x08")
    for arguments, told in [
        ([str(model), "--images", str(dark), "-o", str(tmp_path / "x" / "y.onnx")], "beside"),
        ([str(model), "--images", str(dark), "-o", str(model)], "the model itself"),
        ([str(model), "--images", str(alone)], "1 pictures"),
        ([str(model), "--images", str(dark), "--to", "fp16"], "finds nothing"),
        ([str(tensors), "--images", str(street)], "one image"),
        ([str(torn), "--images", str(street)], "torn.onnx"),
        ([str(tmp_path / "nowhere.onnx"), "--images", str(street)], "nowhere.onnx"),
    ]:
        assert run(["models", "quantize", *arguments]) == 2, arguments
        assert told in capsys.readouterr().err, arguments
    assert not (tmp_path / RECORD).exists()
