"""Writes the networks of ``secondlook bench serve``; the files are committed beside its code.

``python tests/support/bench_models.py`` writes them again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "secondlook" / "cli" / "bench" / "serve"


def tiny() -> onnx.ModelProto:
    """A perceptron, FP32 [n, 16] to [n, 4]: nothing but what a call costs."""
    numbers = np.random.default_rng(7)
    weights = [
        numpy_helper.from_array(numbers.standard_normal(shape).astype(np.float32), name)
        for name, shape in {"w1": (16, 32), "b1": (32,), "w2": (32, 4), "b2": (4,)}.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["y"]),
    ]
    return _model(nodes, (TensorProto.FLOAT, 16), (TensorProto.FLOAT, 4), weights)


def largest() -> onnx.ModelProto:
    """The largest byte of each row, UINT8 [n, m] to [n, 1]: nothing but what bytes cost."""
    axes = [numpy_helper.from_array(np.array([1], np.int64), "axes")]
    node = helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=1)
    return _model([node], (TensorProto.UINT8, "bytes"), (TensorProto.UINT8, 1), axes)


def _model(
    nodes: list[onnx.NodeProto],
    given: tuple[int, int | str],
    made: tuple[int, int],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("x", given[0], ["n", given[1]])],
        [helper.make_tensor_value_info("y", made[0], ["n", made[1]])],
        constants,
    )
    # Versions that the oldest ONNX Runtime supported reads.
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="secondlook")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


MODELS = {"tiny.onnx": tiny, "largest.onnx": largest}

if __name__ == "__main__":
    for name, make in MODELS.items():
        (FOLDER / name).write_bytes(make().SerializeToString())
