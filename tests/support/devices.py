"""Networks that keep a device busy, for benchmarks of what is in front of it."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from secondlook.cloud.engine.tensors import Signature, Tensors, TensorSpec


class ConvNet:
    """Some layers of convolution over a square picture; one thread."""

    detector = None
    memory_bytes = 0

    def __init__(self, side: int, max_batch: int) -> None:
        self.device = "CPU"
        self.shape = (3, side, side)
        rng = np.random.default_rng(0)
        nodes, inits, name, channels = [], [], "x", 3
        for layer in range(4):
            weights = rng.normal(0, 0.1, size=(32, channels, 3, 3)).astype(np.float32)
            inits.append(numpy_helper.from_array(weights, f"w{layer}"))
            nodes.append(
                helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1])
            )
            nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
            name, channels = f"r{layer}", 32
        nodes.append(helper.make_node("GlobalAveragePool", [name], ["y"]))
        graph = helper.make_graph(
            nodes,
            "conv",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32, 1, 1])],
            inits,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.signature = Signature(
            (TensorSpec("x", "FP32", self.shape),),
            (TensorSpec("y", "FP32", (32, 1, 1)),),
            max_batch,
        )

    def run(self, inputs: Tensors, outputs: object = ()) -> dict[str, np.ndarray]:
        (y,) = self._session.run(["y"], dict(inputs))
        return {"y": y}

    def warm_up(self) -> None:
        self.run({"x": np.zeros((1, *self.shape), np.float32)})

    def close(self) -> None: ...


class Timer(ConvNet):
    """A device with a time of its own."""

    def __init__(self, side: int, max_batch: int, service_s: float) -> None:
        super().__init__(8, max_batch)
        self.device = "timer"
        self._service_s = service_s

    def run(self, inputs: Tensors, outputs: object = ()) -> dict[str, np.ndarray]:
        time.sleep(self._service_s * len(inputs["x"]))
        return super().run(inputs)
