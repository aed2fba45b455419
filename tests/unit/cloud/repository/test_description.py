"""What files say of themselves, and files that are not what their name says."""

import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from support.model_tree import exported_program, tiny_onnx
from support.networks import write_bright_spot_model

from secondlook.cloud.repository.archive import MAX_PROGRAM_BYTES
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.cloud.repository.description import describe
from secondlook.shared.errors import InvalidModel


def onnx_of(path: Path, kinds: dict[str, tuple[int, list[int | str]]]) -> Path:
    """A network that hands its inputs on."""
    inputs = [helper.make_tensor_value_info(n, k, s) for n, (k, s) in kinds.items()]
    outputs = [helper.make_tensor_value_info(f"{n}_out", k, s) for n, (k, s) in kinds.items()]
    nodes = [helper.make_node("Identity", [n], [f"{n}_out"]) for n in kinds]
    graph = helper.make_graph(nodes, "identity", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_onnx_tells_types_shapes_and_metadata(tmp_path: Path) -> None:
    kinds = {
        "a": (TensorProto.FLOAT16, ["n", 3]),
        "b": (TensorProto.STRING, ["n"]),
        "c": (TensorProto.BOOL, ["n", 1, "w"]),
    }
    found = describe(onnx_of(tmp_path / "m.onnx", kinds))
    assert found.backend == "onnxruntime"
    assert found.inputs == (
        FileTensor("a", "FP16", (-1, 3)),
        FileTensor("b", "BYTES", (-1,)),
        FileTensor("c", "BOOL", (-1, 1, -1)),
    )
    assert found.batches
    detector = describe(write_bright_spot_model(tmp_path / "d.onnx", version="7"))
    assert detector.metadata["version"] == "7"


def test_one_fixed_first_axis_is_no_batch(tmp_path: Path) -> None:
    kinds = {"a": (TensorProto.FLOAT, ["n", 3]), "b": (TensorProto.FLOAT, [1, 3])}
    assert not describe(onnx_of(tmp_path / "m.onnx", kinds)).batches


def test_an_exported_program_tells_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "m.pt2"
    inputs = [("x", 7, (-1, 4)), ("y", 5, (-1, 5))]
    exported_program(file, inputs, [("linear", 6, (-1, 3)), ("sum_1", 13, (-1,))], max_rows=64)
    assert describe(file) == Description(
        "pytorch",
        (FileTensor("x", "FP32", (-1, 4)), FileTensor("y", "INT64", (-1, 5))),
        (FileTensor("linear", "FP16", (-1, 3)), FileTensor("sum_1", "BF16", (-1,))),
        {"torch_version": "2.13.0"},
        max_rows=64,
    )
    exported_program(file, keys=["scores"], old=True)
    assert [tensor.name for tensor in describe(file).outputs] == ["scores"]
    assert describe(file).max_rows == 0


def archive(file: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in parts.items():
            opened.writestr(f"m/{name}", data)
    return file


def test_torchscript_and_checkpoints_are_told_apart(tmp_path: Path) -> None:
    script = archive(tmp_path / "s.pt", **{"code/__torch__/m.py": b"", "data.pkl": b""})
    assert describe(script) == Description("pytorch")
    checkpoint = archive(tmp_path / "c.pt", **{"data.pkl": b"cultralytics.nn.tasks\nDetect"})
    assert describe(checkpoint) == Description("ultralytics")
    weights = archive(tmp_path / "w.pt", **{"data.pkl": b"ctorch._utils\n"})
    with pytest.raises(InvalidModel, match="neither TorchScript nor"):
        describe(weights)


PROGRAM = "m/models/model.json"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ([], "cannot be read"),
        ({"graph_module": 3}, "cannot be read"),
        ({"graph_module": {"graph": {"tensor_values": {}}, "signature": {}}}, "cannot be read"),
    ],
)
def test_a_program_that_is_none(tmp_path: Path, program: object, expected: str) -> None:
    exported_program(tmp_path / "m.pt2", program=program)
    with pytest.raises(InvalidModel, match=expected):
        describe(tmp_path / "m.pt2")


def test_a_program_of_types_that_no_call_carries(tmp_path: Path) -> None:
    exported_program(tmp_path / "m.pt2", [("x", 10, (-1,))])
    with pytest.raises(InvalidModel, match="no call can carry"):
        describe(tmp_path / "m.pt2")


def test_a_small_archive_that_unpacks_to_a_large_one_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "m.pt2"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open(PROGRAM, "w", force_zip64=True) as part,
    ):
        for _ in range(MAX_PROGRAM_BYTES // (1 << 20) + 1):
            part.write(bytes(1 << 20))
    assert file.stat().st_size < 1 << 20
    with pytest.raises(InvalidModel, match="is larger than"):
        describe(file)


def test_code_for_one_machine_is_not_loaded(tmp_path: Path) -> None:
    compiled = archive(tmp_path / "m.pt2", **{"data/aotinductor/model/m.so": b"\x7fELF"})
    with pytest.raises(InvalidModel, match="no exported program"):
        describe(compiled)


@pytest.mark.parametrize("name", ["m.onnx", "m.pt", "m.pt2"])
@pytest.mark.parametrize("kept", [0, 1, 40])
def test_a_file_that_is_cut(tmp_path: Path, name: str, kept: int) -> None:
    file = tmp_path / name
    if name == "m.onnx":
        data = tiny_onnx()
    else:
        exported_program(file)
        data = file.read_bytes()
    file.write_bytes(data[: len(data) * kept // 100])
    with pytest.raises(InvalidModel):
        describe(file)


def test_an_unknown_ending(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(InvalidModel, match="known are"):
        describe(tmp_path / "m.tflite")
