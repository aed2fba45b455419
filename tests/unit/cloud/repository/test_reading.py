"""From directories to releases: policies, files by their usual names, variants, checksums."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto
from support.model_tree import ModelTree, exported_program, external_onnx, tiny_onnx

from secondlook.cloud.repository.findings import Severity
from secondlook.cloud.repository.layout import list_folder
from secondlook.cloud.repository.reading import Reader, Reading


@pytest.fixture
def tree(tmp_path: Path) -> ModelTree:
    return ModelTree(tmp_path / "models")


def read(tree: ModelTree, name: str = "m", config_json: str | None = None) -> Reading:
    return Reader().read(list_folder(tree.root / name), config_json)


def versions(reading: Reading) -> list[tuple[str, str]]:
    return [(release.version, release.variant) for release in reading.releases]


def errors(reading: Reading) -> list[str]:
    return [str(f) for f in reading.findings if f.severity is Severity.ERROR]


def notes(reading: Reading) -> list[str]:
    return [str(f) for f in reading.findings if f.severity is Severity.NOTE]


def test_without_a_configuration_the_newest_is_served(tree: ModelTree) -> None:
    for number in (1, 2, 10):
        tree.version("m", number, gain=float(number))
    found = read(tree)
    assert (versions(found), found.findings) == ([("10", "fp32")], [])
    (release,) = found.releases
    assert release.config.derived
    assert (release.config.backend, release.config.max_batch) == ("onnxruntime", 16)
    assert [spec.name for spec in release.config.inputs] == ["x"]
    assert release.file == tree.root / "m" / "10" / "model.onnx"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest { num_versions: 2 }", ["2", "10"]),
        ("latest { num_versions: 9 }", ["1", "2", "10"]),
        ("all {}", ["1", "2", "10"]),
        ("specific { versions: [ 10, 1 ] }", ["1", "10"]),
    ],
)
def test_policies(tree: ModelTree, policy: str, expected: list[str]) -> None:
    for number in (1, 2, 10):
        tree.version("m", number, gain=float(number))
    tree.config("m", f"version_policy {{ {policy} }}")
    assert [version for version, _ in versions(read(tree))] == expected


def test_a_specific_version_that_is_not_there(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.config("m", "version_policy { specific { versions: [ 1, 7 ] } }")
    found = read(tree)
    assert versions(found) == [("1", "fp32")]
    reason = "is asked for by version_policy.specific, and is not there"
    assert errors(found) == [f"{tree.root}/m/7: {reason}"]


def test_of_the_latest_those_count_that_can_be_served(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    tree.version("m", 3, tiny_onnx()[:50])
    found = read(tree)
    assert versions(found) == [("2", "fp32")]
    (error,) = errors(found)
    assert "m/3/model.onnx" in error
    (finding,) = found.findings
    assert (finding.model, finding.version) == ("m", "3")


def test_a_configuration_that_contradicts_the_file_names_both(tree: ModelTree) -> None:
    tree.version("m", 1, width=4)
    tree.config("m", "max_batch_size: 4 input { name: 'x' data_type: TYPE_FP32 dims: 5 }")
    found = read(tree)
    assert found.releases == []
    (error,) = errors(found)
    assert "[-1, 5]" in error
    assert "[-1, 4]" in error


def test_every_issue_of_a_configuration_has_its_line(tree: ModelTree) -> None:
    tree.version("m", 1)
    file = tree.config("m", "name: 'other'\nmax_batch_size: -3\nsequence_batching {}\n")
    found = read(tree)
    assert found.releases == []
    assert {(f.line, f.field) for f in found.findings} == {
        (1, "name"),
        (2, "max_batch_size"),
        (3, "sequence_batching"),
    }
    assert all(f.file == file and f.about_config for f in found.findings)


def test_a_configuration_in_toml(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.config("m", "max_batch_size = 3", "config.toml")
    (release,) = read(tree).releases
    assert (release.config.max_batch, release.config.derived) == (3, False)
    tree.config("m", "max_batch_size: 3")
    assert "config.pbtxt and config.toml; keep one" in errors(read(tree))[0]


def test_a_configuration_of_a_load_call_replaces_that_on_disk(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.config("m", "nonsense")
    (release,) = read(tree, config_json='{"max_batch_size": 2}').releases
    assert release.config.max_batch == 2
    (error,) = errors(read(tree, config_json='{"max_batch_siz": 2}'))
    assert error.startswith("max_batch_siz: no such field")


def test_other_names_of_the_file(tree: ModelTree) -> None:
    tree.file("m", 1, "yolo.onnx", tiny_onnx())
    assert read(tree).releases[0].file.name == "yolo.onnx"
    tree.file("m", 1, "other.onnx", tiny_onnx())
    assert "there are other.onnx, yolo.onnx" in errors(read(tree))[0]
    tree.config("m", "default_model_filename: 'other.onnx'")
    assert read(tree).releases[0].file.name == "other.onnx"


def test_an_exported_program(tree: ModelTree) -> None:
    (tree.root / "m" / "1").mkdir(parents=True)
    exported_program(tree.root / "m" / "1" / "model.pt2", max_rows=8)
    (release,) = read(tree).releases
    assert (release.config.backend, release.config.max_batch) == ("pytorch", 8)
    tree.config("m", "backend: 'ultralytics' default_model_filename: 'model.pt2'")
    assert "is for backend 'pytorch', not 'ultralytics'" in errors(read(tree))[0]


def test_a_directory_without_a_model(tree: ModelTree) -> None:
    tree.file("m", 1, "README.md", b"soon")
    assert "no model.onnx or model.pt2 or model.pt; there is none" in errors(read(tree))[0]
    tree.config("n", "max_batch_size: 1")
    assert "a directory with a number is expected" in errors(read(tree, "n"))[0]


def test_a_directory_in_place_of_the_file(tree: ModelTree) -> None:
    (tree.root / "m" / "1" / "model.onnx").mkdir(parents=True)
    assert "is a directory; a file is expected" in errors(read(tree))[0]


VARIANT = "parameters { key: 'variant.int8' value { string_value: 'model.int8.onnx' } }"


def test_variants_are_releases_of_the_same_version(tree: ModelTree) -> None:
    tree.config("m", f"version_policy {{ all {{}} }} {VARIANT}")
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    tree.file("m", 2, "model.int8.onnx", tiny_onnx(2.01))
    tree.measured("m", 2, "int8", "model.int8.onnx")
    found = read(tree)
    assert versions(found) == [("1", "fp32"), ("2", "fp32"), ("2", "int8")]
    assert found.releases[1].config == found.releases[2].config
    assert found.releases[1].digest != found.releases[2].digest
    assert [note for note in notes(found) if "m/1/model.int8.onnx: has no variant int8" in note]


def test_a_variant_that_takes_something_else_is_refused_alone(tree: ModelTree) -> None:
    tree.config("m", VARIANT)
    tree.version("m", 1)
    tree.file("m", 1, "model.int8.onnx", tiny_onnx(dtype=TensorProto.FLOAT16))
    found = read(tree)
    assert versions(found) == [("1", "fp32")]
    assert "as FP32, but the file has FP16" in errors(found)[0]


def test_a_variant_that_nobody_measured_is_refused_alone(tree: ModelTree) -> None:
    tree.config("m", VARIANT)
    tree.version("m", 1)
    tree.file("m", 1, "model.int8.onnx", tiny_onnx(1.01))
    found = read(tree)
    assert versions(found) == [("1", "fp32")]
    assert "has no measured agreement" in errors(found)[0]
    tree.measured("m", 1, "int8", "model.int8.onnx", f1=0.5)
    assert "agrees with its base only to F1 0.500" in errors(read(tree))[0]
    tree.measured("m", 1, "int8", "model.int8.onnx")
    assert versions(read(tree)) == [("1", "fp32"), ("1", "int8")]
    tree.file("m", 1, "model.int8.onnx", tiny_onnx(1.02))
    assert "measured with another model.int8.onnx" in errors(read(tree))[0]


def test_sums_are_verified(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    tree.sums("m", 1)
    tree.sums("m", 2, model="0" * 64)
    found = read(tree)
    assert versions(found) == [("1", "fp32")]
    assert "SHA256SUMS says 000000000000" in errors(found)[0]


def test_weights_beside_the_file_are_part_of_it(tree: ModelTree) -> None:
    file = tree.version("m", 1)
    external_onnx(file)
    before = read(tree).releases[0]
    weights = file.with_name("model.onnx.data")
    weights.write_bytes(bytes(len(weights.read_bytes())))
    after = read(tree).releases[0]
    assert after.digest != before.digest
    weights.unlink()
    assert "model.onnx.data" in errors(read(tree))[0]


def test_a_remote_model_needs_no_file(tree: ModelTree) -> None:
    address = "parameters { key: 'address' value { string_value: 'triton:8001' } }"
    tree.config("m", f"backend: 'remote' {address}")
    (release,) = read(tree).releases
    assert (release.version, release.digest) == ("1", "")
    tree.config(
        "m", f"backend: 'remote' {address} version_policy {{ specific {{ versions: [ 3, 2 ] }} }}"
    )
    assert versions(read(tree)) == [("2", "fp32"), ("3", "fp32")]


def test_a_share_of_a_version_that_is_not_served(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.config("m", "parameters { key: 'share.2' value { string_value: '5' } }")
    found = read(tree)
    assert versions(found) == [("1", "fp32")]
    assert "version 2 is not served, so that its share goes to 1" in notes(found)[0]


def test_a_network_of_something_else_than_tensors(tree: ModelTree) -> None:
    # What exporters of other libraries write: a sequence of dictionaries.
    kind = onnx.helper.make_sequence_type_proto(
        onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "sequence",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [onnx.helper.make_value_info("y", kind)],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    tree.version("m", 1, model.SerializeToString())
    assert "output 'y' is a seq(tensor(float)); only tensors" in errors(read(tree))[0]
