"""A model repository on disk, each version of whose model gives answers that no other gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = 2_000_000
"""Numbers that each version holds: 8 MB, so that one that is not freed shows."""


def write_adder(path: Path, version: int, weights: int = WEIGHTS) -> Path:
    """A network ``y = x + 1000 * version`` for ``x`` float32 (batch, 2) of finite numbers."""
    constants = [
        numpy_helper.from_array(np.full(weights, 1000.0 * version, np.float32), "weights"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    nodes = [
        # The place depends on the input, so that nothing can be folded beforehand.
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["weights", "place"], ["more"], axis=0),
        helper.make_node("Add", ["x", "more"], ["y"]),
    ]
    shape = ["batch", 2]
    graph = helper.make_graph(
        nodes,
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def publish(root: Path, model: str, version: int, content: bytes | None = None) -> None:
    """Put a version into a repository as a careful person does: complete, then renamed.

    Args:
        root: of the repository.
        model: its name.
        version: its number.
        content: of the file in place of a network.
    """
    (root / model).mkdir(parents=True, exist_ok=True)
    part = root / model / f".{version}"
    part.mkdir()
    if content is None:
        write_adder(part / "model.onnx", version)
    else:
        (part / "model.onnx").write_bytes(content)
    part.rename(root / model / str(version))
