"""What is missing is derived from the file; what is said is held against it."""

from pathlib import Path

import pytest

from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.complete import DERIVED_MAX_BATCH, complete
from secondlook.cloud.repository.config import Batching, ModelConfig
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.shared.errors import InvalidModel

FILE = Path("m/1/model.onnx")
OPEN = Description(
    "onnxruntime",
    (FileTensor("x", "FP32", (-1, 3, -1)),),
    (FileTensor("y", "FP32", (-1, 84)), FileTensor("z", "INT64", (-1, 1))),
)
FIXED = Description(
    "onnxruntime", (FileTensor("x", "FP32", (1, 3)),), (FileTensor("y", "FP32", (1, 2)),)
)
SILENT = Description("pytorch")
X = TensorSpec("x", "FP32", (3, -1))


def made(config: ModelConfig, described: Description, batch_said: bool = True) -> ModelConfig:
    return complete(config, described, FILE, batch_said=batch_said)


def config(max_batch: int = 8, *inputs: TensorSpec, **others: object) -> ModelConfig:
    return ModelConfig("m", "onnxruntime", max_batch, inputs, **others)  # type: ignore[arg-type]


def test_without_a_configuration_all_is_derived() -> None:
    found = made(ModelConfig("m", "onnxruntime", derived=True), OPEN, batch_said=False)
    assert found.max_batch == DERIVED_MAX_BATCH
    assert found.batching == Batching()
    assert found.inputs == (X,)
    assert found.outputs == (TensorSpec("y", "FP32", (84,)), TensorSpec("z", "INT64", (1,)))


def test_a_fixed_first_axis_is_part_of_the_shape() -> None:
    found = made(ModelConfig("m", "onnxruntime"), FIXED, batch_said=False)
    assert (found.max_batch, found.batching) == (0, None)
    assert found.inputs == (TensorSpec("x", "FP32", (1, 3)),)


def test_a_file_with_a_limit_derives_no_more() -> None:
    limited = Description("pytorch", OPEN.inputs, OPEN.outputs, max_rows=4)
    assert made(ModelConfig("m", "pytorch"), limited, batch_said=False).max_batch == 4
    with pytest.raises(InvalidModel, match="takes at most 4 rows"):
        made(config(8), limited)


def test_a_batch_of_0_that_is_written_stays() -> None:
    found = made(config(0), OPEN)
    assert found.max_batch == 0
    assert found.inputs == (TensorSpec("x", "FP32", (-1, 3, -1)),)


def test_without_a_batch_axis_nothing_is_put_together() -> None:
    assert made(config(0, batching=Batching()), OPEN).batching is None
    assert made(config(2, batching=Batching()), OPEN).batching == Batching()


def test_some_of_the_outputs_may_be_named() -> None:
    z = TensorSpec("z", "INT64", (1,))
    assert made(config(8, X, outputs=(z,)), OPEN).outputs == (z,)


def test_a_length_that_the_file_leaves_open_may_be_fixed() -> None:
    narrow = TensorSpec("x", "FP32", (3, 640))
    assert made(config(8, narrow), OPEN).inputs == (narrow,)


@pytest.mark.parametrize(
    ("said", "described", "expected"),
    [
        (config(8, TensorSpec("a", "FP32", (3, -1))), OPEN, "'a' is configured.* file has 'x'"),
        (config(8, TensorSpec("x", "FP16", (3, -1))), OPEN, "as FP16, but the file has FP32"),
        (config(8, TensorSpec("x", "FP32", (4, -1))), OPEN, r"\[-1, 4, -1\].*has \[-1, 3, -1\]"),
        (config(8, TensorSpec("x", "FP32", (-1, -1))), OPEN, r"\[-1, -1, -1\].*\[-1, 3, -1\]"),
        (config(8, TensorSpec("x", "FP32", (3,))), OPEN, r"\[-1, 3\].*has \[-1, 3, -1\]"),
        (config(0, TensorSpec("x", "FP32", (3, -1))), OPEN, r"shape \[3, -1\], but"),
        (config(8), FIXED, "max_batch_size is 8, but the first axis of x FP32 .1, 3. is not open"),
        (config(8, outputs=(TensorSpec("q", "FP32", (1,)),)), OPEN, "output 'q' is configured"),
        (config(8, batching=Batching((4, 9))), OPEN, "preferred_batch_size 9"),
        (config(0, batching=Batching((4,))), OPEN, "at most 1 rows"),
    ],
)
def test_a_contradiction_names_both(
    said: ModelConfig, described: Description, expected: str
) -> None:
    with pytest.raises(InvalidModel, match=expected) as caught:
        made(said, described)
    assert str(FILE) in caught.value.message


def test_an_input_of_the_file_that_is_not_configured() -> None:
    two = Description("onnxruntime", (*OPEN.inputs, FileTensor("w", "FP32", (-1, 2))), ())
    with pytest.raises(InvalidModel, match="'w' of the file is not configured"):
        made(config(8, X), two)


def test_a_batch_of_1_suits_a_file_of_1() -> None:
    assert made(config(1), FIXED).inputs == (TensorSpec("x", "FP32", (3,)),)


def test_a_file_that_does_not_tell_needs_a_configuration() -> None:
    with pytest.raises(InvalidModel, match="does not tell its inputs") as caught:
        made(ModelConfig("m", "pytorch"), SILENT, batch_said=False)
    assert "config.pbtxt" in str(caught.value)
    said = ModelConfig("m", "pytorch", 4, (X,), (TensorSpec("y", "FP32", (1,)),))
    assert made(said, SILENT) == said


def test_a_checkpoint_of_ultralytics_takes_any_number_of_images() -> None:
    found = made(ModelConfig("m", "ultralytics"), Description("ultralytics"), batch_said=False)
    assert (found.max_batch, found.inputs) == (DERIVED_MAX_BATCH, ())


def test_an_output_of_unknown_axes_is_one_of_any_length() -> None:
    odd = Description("onnxruntime", OPEN.inputs, (FileTensor("y", "FP32", None),))
    found = made(ModelConfig("m", "onnxruntime"), odd, batch_said=False)
    assert found.outputs == (TensorSpec("y", "FP32", (-1,)),)
    stated = config(8, outputs=(TensorSpec("y", "FP32", (7, 7)),))
    assert made(stated, odd).outputs == stated.outputs
