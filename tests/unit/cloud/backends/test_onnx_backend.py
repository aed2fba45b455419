"""What the ONNX Runtime backend adds to the contract: every type, shape and lie of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs
from support.networks import blank, paint, write_bright_spot_model
from support.networks_raw import ONNX_TYPES, write_arithmetic_model, write_identity_model

from secondlook.cloud.backends import open_backend, opening
from secondlook.cloud.backends.onnx_backend import BIND_BYTES, open_onnx
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import DTYPES, TensorSpec
from secondlook.cloud.repository.config import InstanceGroup, ModelConfig, Release
from secondlook.shared.errors import InvalidConfig, InvalidInput, InvalidModel, ModelFailure


def opened(file: Path, **options: object) -> Backend:
    config = ModelConfig("m", "onnxruntime", **options)  # type: ignore[arg-type]
    return open_backend(Release(config, "1", file), threads=1)


def test_every_type_of_the_protocol_is_tested() -> None:
    assert set(ONNX_TYPES) == set(DTYPES)


@pytest.mark.parametrize("dtype", ONNX_TYPES)
def test_every_type_goes_in_and_comes_out(tmp_path: Path, dtype: str) -> None:
    backend = opened(write_identity_model(tmp_path / "m.onnx", ONNX_TYPES[dtype]))
    assert backend.signature.inputs == (TensorSpec("x", dtype, (3,)),)
    assert backend.signature.outputs == (TensorSpec("y", dtype, (3,)),)
    if dtype == "BYTES":
        x = np.array([[b"", "äöü".encode(), b"a\x00b"], [b"1", b"2", b"3" * 999]], np.object_)
    else:
        bits = np.random.default_rng(0).integers(0, 2, (2, 3 * DTYPES[dtype].itemsize), np.uint8)
        x = bits.view(DTYPES[dtype])
    (y,) = backend.run({"x": x}).values()
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)
    assert not np.may_share_memory(x, y)
    backend.warm_up()


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    backend = opened(write_identity_model(tmp_path / "m.onnx", TensorProto.STRING))
    for bad in (b"\xff\xfe", 7, None):
        x = np.array([[b"a", bad, b"c"]], np.object_)
        with pytest.raises(InvalidInput, match="'x'"):
            backend.run({"x": x})
    x = np.array([[b"a", b"b", b"c"]], np.object_)
    np.testing.assert_array_equal(backend.run({"x": x})["y"], x)


@pytest.mark.parametrize("width", [8, BIND_BYTES // 4, BIND_BYTES])
def test_large_outputs_are_bound_and_still_their_callers_own(tmp_path: Path, width: int) -> None:
    path = write_identity_model(
        tmp_path / "m.onnx", TensorProto.FLOAT, ("batch", width), kind="Neg"
    )
    backend = opened(path)
    x = np.random.default_rng(1).normal(size=(3, width)).astype(np.float32)
    first = backend.run({"x": x})["y"]
    kept = first.copy()
    backend.run({"x": x * 2})
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(first, -x)
    # A view with strides is read as what it shows.
    np.testing.assert_array_equal(backend.run({"x": x[::2]})["y"], -x[::2])


def test_without_a_batch_axis_shapes_are_whole(tmp_path: Path) -> None:
    backend = opened(write_arithmetic_model(tmp_path / "m.onnx", batch=False))
    assert backend.signature.max_batch == 0
    assert backend.signature.inputs[0].shape == (4,)
    inputs = {
        "a": np.ones(4, np.float32),
        "b": np.full(4, 2, np.float32),
        "index": np.array([3]),
    }
    given = backend.run(inputs)
    np.testing.assert_array_equal(given["sum"], np.full(4, 3))
    np.testing.assert_array_equal(given["picked"], [30])
    with pytest.raises(InvalidInput):
        backend.run({name: array[None] for name, array in inputs.items()})


def test_an_open_length_takes_any(tmp_path: Path) -> None:
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT, ("batch", "length", 2))
    backend = opened(path)
    assert backend.signature.inputs[0].shape == (-1, 2)
    for length in (1, 5):
        x = np.ones((2, length, 2), np.float32)
        assert backend.run({"x": x})["y"].shape == (2, length, 2)
    backend.warm_up()


def _lying(path: Path, axis: int) -> Path:
    """It says ``y`` has the shape of ``x``, and leaves out what is not positive along an axis."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["best"], axes=[1 - axis], keepdims=0),
        helper.make_node("Greater", ["best", "zero"], ["kept"]),
        helper.make_node("Compress", ["x", "kept"], ["y"], axis=axis),
    ]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    graph = helper.make_graph(nodes, "g", [x], [y], [zero])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.mark.parametrize(
    ("axis", "told"),
    [(0, r"shape \[1, 3\] for 2 rows"), (1, r"shape \[2, 2\]; \[-1, 3\] is declared")],
)
def test_a_network_that_lies_about_its_output_is_told(tmp_path: Path, axis: int, told: str) -> None:
    backend = opened(_lying(tmp_path / "m.onnx", axis))
    honest = np.ones((2, 3), np.float32)
    spoiled = honest.copy()
    spoiled[(1, slice(None)) if axis == 0 else (slice(None), 1)] = -1
    np.testing.assert_array_equal(backend.run({"x": honest})["y"], honest)
    with pytest.raises(ModelFailure, match=told):
        backend.run({"x": spoiled})
    np.testing.assert_array_equal(backend.run({"x": honest})["y"], honest)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"inputs": (TensorSpec("x", "FP16", (3,)),)}, "FP16"),
        ({"inputs": (TensorSpec("z", "FP32", (3,)),)}, "'z'"),
        ({"inputs": (TensorSpec("x", "FP32", (4,)),)}, r"\[-1, 4\]"),
        ({"outputs": (TensorSpec("nothing", "FP32", (3,)),)}, "'nothing'"),
    ],
)
def test_a_configuration_that_does_not_fit_the_file_is_refused(
    tmp_path: Path, options: dict[str, object], told: str
) -> None:
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT)
    with pytest.raises(InvalidModel, match=told):
        opened(path, max_batch=4, **options)


def test_a_batch_of_a_network_that_takes_none_is_refused(tmp_path: Path) -> None:
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT, (2, 3))
    with pytest.raises(InvalidModel, match="first axis"):
        opened(path, max_batch=8)
    assert opened(path).signature.max_batch == 0


def test_a_detector_of_a_fixed_batch_is_one_all_the_same(tmp_path: Path) -> None:
    backend = opened(write_bright_spot_model(tmp_path / "m.onnx", batch=1))
    assert backend.detector is not None
    assert backend.detector.info.max_batch == 1
    image = blank(128, 96)
    paint(image, (16, 16, 64, 64), "car")
    assert [len(found) for found in backend.detector.detect([image] * 3, 0.4)] == [1, 1, 1]


def test_what_is_no_detector_says_why_in_the_log(tmp_path: Path) -> None:
    path = write_arithmetic_model(tmp_path / "m.onnx")
    with capture_logs() as logs:
        assert opened(path).detector is None
    assert [entry["model"] for entry in logs if "raw tensors" in entry["event"]] == ["m"]
    with pytest.raises(InvalidModel, match="one image"):
        opened(path, parameters={"task": "detect"})


def test_a_detector_can_be_served_as_tensors_alone(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "m.onnx")
    assert opened(path, parameters={"task": "raw"}).detector is None


def test_parameters_win_over_a_sidecar_over_the_file(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "m.onnx")
    (tmp_path / "m.toml").write_text('names = ["a", "b", "c"]\n')
    assert opened(path).detector.info.names == ("a", "b", "c")  # type: ignore[union-attr]
    said = {"names": '["x", "y", "z"]'}
    assert opened(path, parameters=said).detector.info.names == (  # type: ignore[union-attr]
        "x",
        "y",
        "z",
    )


def test_a_variant_is_read_by_its_models_sidecar_unless_it_has_its_own(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "m.v2.int8.onnx")
    (tmp_path / "m.v2.toml").write_text('names = ["a", "b", "c"]\n')

    def names(variant: str) -> tuple[str, ...]:
        said = Release(ModelConfig("m", "onnxruntime"), "1", path, variant)
        backend = open_onnx(said, providers=("cpu",), device=0, threads=1, spin=False)
        assert backend.detector is not None
        return backend.detector.info.names

    assert names("int8") == ("a", "b", "c")
    assert names("fp32") == ("person", "car", "bottle")
    (tmp_path / "m.v2.int8.toml").write_text('names = ["x", "y", "z"]\n')
    assert names("int8") == ("x", "y", "z")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "guess"),
        ("nms_iou", "0"),
        ("nms_iou", "nan"),
        ("nms_iou", "much"),
        ("names", "person"),
        ("head", "hydra"),
        ("pad", "256"),
        ("size", "640"),
        ("size", "640, wide"),
        ("strides", "8, x"),
        ("letterbox", "upside down"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(tmp_path: Path, key: str, value: str) -> None:
    path = write_bright_spot_model(tmp_path / "m.onnx")
    with pytest.raises(InvalidConfig, match="parameters"):
        opened(path, parameters={key: value})


def test_threads_and_providers_reach_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(opening, "open_onnx", lambda _, **options: seen.append(options))
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT)

    def ask(said: dict[str, str] | None = None, **options: object) -> dict[str, object]:
        config = ModelConfig(
            "m", "onnxruntime", instances=(InstanceGroup(threads=3),), parameters=said or {}
        )
        open_backend(Release(config, "1", path), **options)  # type: ignore[arg-type]
        return seen[-1]

    assert ask()["threads"] == 3
    assert ask(threads=0)["threads"] == 0
    assert ask(providers=("cuda", "cpu"))["providers"] == ["cuda", "cpu"]
    assert ask({"providers": "OpenVINO, cpu"}, providers=("cuda",))["providers"] == [
        "OpenVINO",
        "cpu",
    ]
    assert ask({"providers": "cuda"}, device="cpu")["providers"] == ("cpu",)
    asked = ask(device="gpu:2")
    assert asked["providers"] == ("tensorrt", "cuda", "cann")
    assert asked["device"] == 2


def test_a_provider_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT)
    with pytest.raises(InvalidConfig, match="CUDA"):
        opened(path, parameters={"providers": "cuda"})


def test_weights_beside_the_file_count(tmp_path: Path) -> None:
    path = write_identity_model(tmp_path / "m.onnx", TensorProto.FLOAT)
    alone = opened(path).memory_bytes
    assert alone == path.stat().st_size
    (tmp_path / "m.onnx.data").write_bytes(bytes(1000))
    assert opened(path).memory_bytes == alone + 1000
