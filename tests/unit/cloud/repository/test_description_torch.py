"""What is read from torch's files without torch, against what torch itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secondlook.cloud.engine.tensors import DTYPES
from secondlook.cloud.repository.described import Description
from secondlook.cloud.repository.description import describe
from secondlook.shared.errors import InvalidModel

pytestmark = pytest.mark.heavy
torch: Any = pytest.importorskip("torch")


class Two(torch.nn.Module):  # type: ignore[misc]
    """Two inputs; a dictionary of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: Any, ids: Any) -> dict[str, Any]:
        return {"scores": self.linear(x), "sums": ids.sum(1)}


def export(file: Path, module: Any, *example: Any, batch: bool = False) -> Any:
    axis = torch.export.Dim("rows", min=1, max=64)
    shapes = tuple({0: axis} for _ in example) if batch else None
    program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, file)
    return program


def test_a_program_with_an_open_first_axis(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    program = export(
        file, Two(), torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.int64), batch=True
    )
    found = describe(file)
    assert [t.name for t in found.inputs] == list(program.graph_signature.user_inputs)
    assert [(t.dtype, t.shape) for t in found.inputs] == [("FP32", (-1, 4)), ("INT64", (-1, 5))]
    assert [str(t) for t in found.outputs] == ["scores FP32 [-1, 3]", "sums INT64 [-1]"]
    assert (found.batches, found.max_rows) == (True, 64)


def test_a_program_of_one_shape(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    convolution = torch.nn.Conv2d(3, 2, 3).half()
    program = export(file, convolution, torch.zeros(1, 3, 8, 8).half())
    found = describe(file)
    assert [t.name for t in found.outputs] == list(program.graph_signature.user_outputs)
    assert found.outputs[0].shape == (1, 2, 6, 6)
    assert (found.batches, found.max_rows) == (False, 0)


# A string is no tensor of torch.
@pytest.mark.parametrize("dtype", sorted(DTYPES.keys() - {"BYTES"}))
def test_every_type(tmp_path: Path, dtype: str) -> None:
    names = {"BF16": "bfloat16", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
    kind = getattr(torch, names.get(dtype, dtype.lower()))
    file = tmp_path / "model.pt2"
    export(file, torch.nn.Identity(), torch.zeros(1, 2, dtype=kind))
    assert describe(file).inputs[0].dtype == dtype


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_and_weights_are_told_apart(tmp_path: Path) -> None:
    linear = torch.nn.Linear(4, 3)
    script, weights = tmp_path / "script.pt", tmp_path / "weights.pt"
    torch.jit.save(torch.jit.trace(linear, torch.zeros(1, 4)), script)
    assert describe(script) == Description("pytorch")
    torch.save(linear.state_dict(), weights)
    with pytest.raises(InvalidModel, match="neither TorchScript nor"):
        describe(weights)
