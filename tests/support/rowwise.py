"""A real network whose rows do not depend on each other, to the last bit.

`RowwiseBackend` runs it in ONNX Runtime. Convolution goes image by image, so what a row gives is
bit-equal whatever else is in its batch (a matrix product may choose another kernel for another
number of rows). It looks a row of a table up as well: an index beyond the table is a poisoned
request, for which ONNX Runtime fails the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from secondlook.cloud.engine.tensors import Array, Signature, Tensors, TensorSpec
from secondlook.shared.errors import ModelFailure

SIDE = 9
TABLE = 16
POISON = 10 * TABLE
CHANNELS = 4


def rowwise_model() -> bytes:
    """The network: ``x`` FP32 (n, 3, 9, 9) and ``i`` INT64 (n,) to ``y`` FP32 (n, 4, 9, 9)."""
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float32)
    table = rng.normal(size=(TABLE, CHANNELS, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gather", ["t", "i"], ["c"]),
        helper.make_node("Mul", ["b", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "rowwise",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE]),
            helper.make_tensor_value_info("i", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CHANNELS, SIDE, SIDE])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(table, "t")],
    )
    opset = [helper.make_opsetid("", 17)]
    model: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return model


class RowwiseBackend:
    """The network, loaded.

    Args:
        max_batch: most rows of a call.

    Attributes:
        sizes: rows of each call that worked.
    """

    detector = None
    memory_bytes = 0

    def __init__(self, max_batch: int = 16, device: str = "CPU") -> None:
        self.device = device
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = ort.InferenceSession(
            rowwise_model(), options, providers=["CPUExecutionProvider"]
        )
        self.signature = Signature(
            (TensorSpec("x", "FP32", (3, SIDE, SIDE)), TensorSpec("i", "INT64", ())),
            (TensorSpec("y", "FP32", (CHANNELS, SIDE, SIDE)),),
            max_batch,
        )
        self.sizes: list[int] = []
        self.closed = False

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        try:
            (y,) = self._session.run(["y"], dict(inputs))
        except ort_errors.Fail as error:
            raise ModelFailure("the network failed") from error
        except ort_errors.InvalidArgument as error:
            raise ModelFailure("the network refused its input") from error
        self.sizes.append(len(y))
        return {"y": y}

    def warm_up(self) -> None:
        self.run(question(np.random.default_rng(0), 1))

    def close(self) -> None:
        self.closed = True


def question(rng: np.random.Generator, rows: int, *, poison: bool = False) -> dict[str, Array]:
    """Random inputs; where poisoned, one of the rows is."""
    index = rng.integers(0, TABLE, rows)
    if poison:
        index[rng.integers(rows)] = POISON
    return {"x": rng.normal(size=(rows, 3, SIDE, SIDE)).astype(np.float32), "i": index}
