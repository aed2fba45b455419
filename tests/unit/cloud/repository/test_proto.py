"""What configurations mean, what is refused, what is passed over."""

import pytest

from secondlook.cloud.engine.tensors import DTYPES, TensorSpec
from secondlook.cloud.repository.config import (
    Batching,
    InstanceGroup,
    ModelConfig,
    VersionPolicy,
)
from secondlook.cloud.repository.forms import from_text
from secondlook.cloud.repository.proto import DATA_TYPES, Read, from_proto, to_proto

FULL = """
name: "yolo"
backend: "onnxruntime"
max_batch_size: 8
input { name: "images" data_type: TYPE_FP32 dims: [ 3, -1, 640 ] format: FORMAT_NCHW }
output { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
version_policy { latest { num_versions: 2 } }
instance_group { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }
instance_group { kind: KIND_CPU }
default_model_filename: "yolo.onnx"
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 1500
  default_queue_policy { max_queue_size: 32 }
}
parameters { key: "objective_ms" value { string_value: "12.5" } }
parameters { key: "variant.int8" value { string_value: "model.int8.onnx" } }
parameters { key: "share.1" value { string_value: "95" } }
parameters { key: "share.2" value { string_value: "5" } }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
parameters { key: "head" value { string_value: "yolov8" } }
parameters { key: "somebody.elses" value { string_value: "x" } }
"""


def read(text: str) -> Read:
    return from_proto(from_text(text.encode(), "config.pbtxt").message)


def issues(text: str) -> dict[str, str]:
    return {issue.field: issue.reason for issue in read(text).issues}


def test_a_full_configuration_is_understood() -> None:
    found = read(FULL)
    assert found.issues == ()
    assert found.config == ModelConfig(
        name="yolo",
        backend="onnxruntime",
        max_batch=8,
        inputs=(TensorSpec("images", "FP32", (3, -1, 640)),),
        outputs=(TensorSpec("text", "BYTES", (1,)),),
        filename="yolo.onnx",
        versions=VersionPolicy(latest=2),
        instances=(InstanceGroup(2, "gpu", (0, 1), 2), InstanceGroup(1, "cpu", (), 2)),
        batching=Batching((4, 8), 0.0015, 32),
        objective_s=0.0125,
        variants={"int8": "model.int8.onnx"},
        shares={"1": 95.0, "2": 5.0},
        parameters={"head": "yolov8", "somebody.elses": "x"},
    )


def test_what_the_call_tells_is_understood_again() -> None:
    config = read(FULL).config
    assert from_proto(to_proto(config)).config == config
    assert to_proto(config).platform == "onnxruntime_onnx"


def test_every_type_of_the_protocol_has_its_number() -> None:
    assert set(DATA_TYPES.values()) == set(DTYPES)


def test_the_older_word_means_a_backend() -> None:
    assert read('platform: "pytorch_libtorch"').config.backend == "pytorch"
    assert read('platform: "onnxruntime_onnx" backend: "onnxruntime"').issues == ()
    assert "means backend" in issues('platform: "onnxruntime_onnx" backend: "pytorch"')["platform"]
    assert "tensorrt_plan" in issues('platform: "tensorrt_plan"')["platform"]
    assert "python" in issues('backend: "python"')["backend"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("sequence_batching {}", "sequence_batching"),
        ("ensemble_scheduling { step { model_name: 'a' } }", "ensemble_scheduling"),
        ("model_transaction_policy { decoupled: true }", "model_transaction_policy.decoupled"),
        ("cc_model_filenames { key: '7.5' value: 'a' }", "cc_model_filenames"),
        ("model_repository_agents { agents { name: 'checksum' } }", "model_repository_agents"),
        ("input { name: 'x' data_type: TYPE_FP32 dims: 1 optional: true }", "input[0].optional"),
        (
            "input { name: 'x' data_type: TYPE_FP32 dims: 1 allow_ragged_batch: true }",
            "input[0].allow_ragged_batch",
        ),
        (
            "output { name: 'x' data_type: TYPE_FP32 dims: 1 reshape { shape: [ 1, 1 ] } }",
            "output[0].reshape",
        ),
        ("instance_group { passive: true }", "instance_group[0].passive"),
        ("batch_input { kind: BATCH_ELEMENT_COUNT }", "batch_input"),
        ("batch_output { target_name: 'a' }", "batch_output"),
        ("model_operations { op_library_filename: 'a.so' }", "model_operations"),
    ],
)
def test_what_would_change_the_answers_is_refused(text: str, field: str) -> None:
    assert field in issues(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("optimization { graph { level: 1 } }", "optimization"),
        ("model_warmup { name: 'w' }", "model_warmup"),
        ("response_cache { enable: true }", "response_cache"),
        ("dynamic_batching { preserve_ordering: true }", "dynamic_batching.preserve_ordering"),
        ("dynamic_batching { priority_levels: 2 }", "dynamic_batching.priority_levels"),
        (
            "parameters { key: 'objectiv_ms' value { string_value: '1' } }",
            "parameters[objectiv_ms]",
        ),
        ("instance_group { profile: 'a' }", "instance_group[0].profile"),
    ],
)
def test_what_only_changes_speed_is_passed_over_by_name(text: str, field: str) -> None:
    found = read(text)
    assert found.issues == ()
    assert [note.field for note in found.notes] == [field]


TENSOR = "name: 'x' data_type: TYPE_FP32"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: 'a/b'", "name"),
        ("name: '..'", "name"),
        ("max_batch_size: -1", "max_batch_size"),
        ("max_batch_size: 5000", "max_batch_size"),
        ("default_model_filename: '../other/model.onnx'", "default_model_filename"),
        ("default_model_filename: '/etc/passwd'", "default_model_filename"),
        ("input { name: 'x' dims: 1 }", "input[0].data_type"),
        ("input { data_type: TYPE_FP32 dims: 1 }", "input[0].name"),
        (f"input {{ {TENSOR} dims: [ 3, 0 ] }}", "input[0].dims[1]"),
        (f"input {{ {TENSOR} dims: -2 }}", "input[0].dims[0]"),
        (f"input {{ {TENSOR} dims: 9223372036854775807 }}", "input[0].dims[0]"),
        (f"input {{ {TENSOR} dims: [ 65536, 65536 ] }}", "input[0].dims"),
        (f"input {{ {TENSOR} dims: [ {', '.join('1' * 17)} ] }}", "input[0].dims"),
        (f"input {{ {TENSOR} dims: 1 }} " * 2, "input[1].name"),
        (f"input {{ {TENSOR} dims: 1 }} " * 300, "input"),
        ("version_policy { specific {} }", "version_policy.specific"),
        ("version_policy { specific { versions: [ 1, 1 ] } }", "version_policy.specific.versions"),
        ("version_policy { specific { versions: -1 } }", "version_policy.specific.versions[0]"),
        ("version_policy { latest { num_versions: 999 } }", "version_policy.latest.num_versions"),
        ("instance_group { count: -1 }", "instance_group[0].count"),
        ("instance_group { count: 10000 }", "instance_group[0].count"),
        ("instance_group { kind: 77 }", "instance_group[0].kind"),
        ("instance_group { kind: KIND_CPU gpus: 0 }", "instance_group[0].gpus"),
        ("instance_group { gpus: -1 }", "instance_group[0].gpus"),
        ("instance_group { gpus: [ 1, 1 ] }", "instance_group[0].gpus"),
        ("instance_group {} " * 17, "instance_group"),
        (
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 2, 8 ] }",
            "dynamic_batching.preferred_batch_size[1]",
        ),
        (
            "dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }",
            "dynamic_batching.max_queue_delay_microseconds",
        ),
        (
            "dynamic_batching { default_queue_policy { max_queue_size: 4294967295 } }",
            "dynamic_batching.default_queue_policy.max_queue_size",
        ),
        ("backend: 'remote'", "backend"),
    ],
)
def test_what_is_out_of_bounds_is_named(text: str, field: str) -> None:
    assert field in issues(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("objective_ms", "0"),
        ("objective_ms", "nan"),
        ("objective_ms", "soon"),
        ("variant.fp32", "model.onnx"),
        ("variant.int8", "../model.onnx"),
        ("variant.", "model.onnx"),
        ("share.x", "1"),
        ("share.01", "1"),
        ("share.1", "-1"),
        ("share.1", "inf"),
        ("share.1", "0"),
        ("threads", "-1"),
        ("threads", "00000000000000000001"),
        ("threads", "1e3"),
        ("head", "yolov99"),
        ("input_layout", "nchw"),
        ("min_score", "1.5"),
        ("nms_iou", "0"),
        ("task", "dance"),
        ("address", "http://a b"),
        ("tls", "maybe"),
        ("k" * 200, ""),
        ("k", "v" * 70_000),
    ],
)
def test_a_parameter_that_cannot_be(key: str, value: str) -> None:
    (field,) = issues(f"parameters {{ key: '{key}' value {{ string_value: '{value}' }} }}")
    assert field.startswith("parameters")


def test_too_many_parameters_are_not_read() -> None:
    text = "\n".join(f"parameters {{ key: 'k{i}' value {{}} }}" for i in range(300))
    assert "300 of them" in issues(text)["parameters"]


def test_a_share_of_a_version_that_the_policy_leaves_out() -> None:
    text = """version_policy { specific { versions: [ 1 ] } }
    parameters { key: "share.2" value { string_value: "1" } }"""
    assert "has not this version" in issues(text)["parameters[share.2]"]
