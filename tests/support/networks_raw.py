"""Tiny ONNX networks over raw tensors, for tests of the model server.

`write_arithmetic_model` writes one that can go wrong in every way a test needs::

    a (FP32, 4), b (FP32, 4), index (INT64, 1)
    sum = a + b, ratio = a / b, picked = TABLE[index]

0 / 0 gives NaN; an index outside the table makes the run itself fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TABLE = np.arange(8, dtype=np.float32) * 10

Axis = int | str

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
"""ONNX's type of each datatype of the Open Inference Protocol."""


def arithmetic(a: np.ndarray, b: np.ndarray, index: np.ndarray) -> dict[str, np.ndarray]:
    """What the arithmetic model gives."""
    with np.errstate(all="ignore"):
        return {"sum": a + b, "ratio": a / b, "picked": TABLE[index]}


def write_arithmetic_model(path: Path, *, batch: bool = True) -> Path:
    """Write it; without ``batch`` there is no batch axis."""
    lead: list[Axis] = ["batch"] if batch else []
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, [*lead, 4]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [*lead, 4]),
        helper.make_tensor_value_info("index", TensorProto.INT64, [*lead, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, [*lead, 4]),
        helper.make_tensor_value_info("ratio", TensorProto.FLOAT, [*lead, 4]),
        helper.make_tensor_value_info("picked", TensorProto.FLOAT, [*lead, 1]),
    ]
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Div", ["a", "b"], ["ratio"]),
        helper.make_node("Gather", ["table", "index"], ["picked"]),
    ]
    return _write(path, nodes, inputs, outputs, [numpy_helper.from_array(TABLE, "table")])


def write_identity_model(
    path: Path,
    element: int,
    shape: Sequence[Axis] = ("batch", 3),
    *,
    declared: Sequence[Axis] | None = None,
    kind: str = "Identity",
) -> Path:
    """Write ``y = x``.

    Args:
        path: where; returned.
        element: of ``TensorProto.DataType``.
        shape: every axis.
        declared: what it says of its output instead of the truth.
        kind: another operator of one input and one output.
    """
    inputs = [helper.make_tensor_value_info("x", element, list(shape))]
    out = list(shape if declared is None else declared)
    outputs = [helper.make_tensor_value_info("y", element, out)]
    return _write(path, [helper.make_node(kind, ["x"], ["y"])], inputs, outputs, [])


def _write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto],
) -> Path:
    model = helper.make_model(
        helper.make_graph(nodes, path.stem, inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, str(path))
    return path
