"""An engine that needs no model, and the inference service over it, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import grpc.aio
import numpy as np
from prometheus_client import CollectorRegistry

from secondlook.cloud.access import Access
from secondlook.cloud.engine.asking import Ask, Detected, Inferred, Ran
from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors, TensorSpec
from secondlook.cloud.metrics import RpcMetrics
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.rpc.boundary import Boundary
from secondlook.cloud.rpc.inference import InferenceServicer
from secondlook.cloud.rpc.strict import StrictServer
from secondlook.oip import inference_pb2_grpc
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidInput, InvalidModel, NotFound
from secondlook.shared.values import Detections

NAMES = ("person", "car")


def echo_signature() -> Signature:
    """One input and output of each datatype, any shape of one axis: what comes in goes out."""
    return Signature(
        tuple(TensorSpec(f"in_{name}", name, (-1,)) for name in DTYPES),
        tuple(TensorSpec(f"out_{name}", name, (-1,)) for name in DTYPES),
        max_batch=0,
    )


def identity(datatype: str, rank: int = 1) -> Signature:
    """One input and one output of one datatype."""
    shape = (-1,) * rank
    return Signature(
        (TensorSpec("x", datatype, shape),), (TensorSpec("y", datatype, shape),), max_batch=0
    )


@dataclass
class FakeEngine:
    """Gives every input back as the output of the same place; its detector sees green boxes.

    Attributes:
        signatures: signature of each raw model, by name; the versions are "1" and "2".
        asked: every question, in order.
        error: raised by the next questions instead of an answer.
        gate: questions wait for it where it is set.
        loaded: names and configurations given to `load`.
    """

    signatures: dict[str, Signature] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)
    tensors: list[dict[str, Array]] = field(default_factory=list)
    seen: list[tuple[Image, float]] = field(default_factory=list)
    error: Exception | None = None
    gate: anyio.Event | None = None
    loaded: list[tuple[str, str | None]] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    reason: str = ""
    waiting: int = 0
    most_waiting: int = 0

    def __post_init__(self) -> None:
        for name in DTYPES:
            self.signatures.setdefault(f"identity_{name}", identity(name))
        self.signatures.setdefault(
            "mlp",
            Signature(
                (TensorSpec("x", "FP32", (4,)),), (TensorSpec("y", "FP32", (4,)),), max_batch=8
            ),
        )
        self.signatures.setdefault("everything", echo_signature())
        self.info = ModelInfo("eyes", "1", NAMES, 64, 64, "fake", "CPU", 4)

    def detectors(self) -> Sequence[ModelInfo]:
        return [self.info]

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        if model not in ("", "eyes") or version not in ("", "1"):
            raise NotFound(f"no detector is named {model[:64]!r}")
        return self.info

    def signature(self, model: str, version: str = "") -> Signature:
        if model not in self.signatures or version not in ("", "1", "2"):
            raise NotFound(f"no model is named {model[:64]!r} with version {version[:64]!r}")
        return self.signatures[model]

    async def prepare(self, ask: Ask) -> None:
        if ask.model != "eyes":
            self.signature(ask.model, ask.version)

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        await self._answering(ask)
        self.seen.append((image, min_score))
        rows, columns = np.nonzero(image[:, :, 1] > 200)
        found = Detections.empty(NAMES)
        if len(rows):
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found = Detections.of([box], [0.9], [1], NAMES)
        return Detected(found, Ran("eyes", "1", "fp32", reason=self.reason))

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        signature = self.signature(ask.model, ask.version)
        signature.rows(tensors)
        await self._answering(ask)
        self.tensors.append(dict(tensors))
        given = {
            into.name: tensors[out_of.name]
            for out_of, into in zip(signature.inputs, signature.outputs, strict=True)
            if not outputs or into.name in outputs
        }
        return Inferred(given, Ran(ask.model, ask.version or "2", "fp32", reason=self.reason))

    async def _answering(self, ask: Ask) -> None:
        self.asked.append(ask)
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error

    async def drain(self) -> None:
        """Nothing is open."""

    def index(self) -> Sequence[Entry]:
        return [
            *(Entry(name, version, State.READY) for name in self.signatures for version in "12"),
            Entry("eyes", "1", State.READY),
            Entry("broken", "3", State.UNAVAILABLE, "the file is cut short"),
        ]

    def config(self, model: str, version: str = "") -> ModelConfig:
        if model != "eyes":
            self.signature(model, version)
        return ModelConfig(model, "onnxruntime", derived=True)

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        if model == "nobody":
            raise NotFound("no model is named 'nobody'")
        counted = Statistics(model or "mlp", version or "1", last_inference_ms=12, inferences=3)
        counted.success.add(0.5, 3)
        counted.batches[2].add(0.25)
        return [counted]

    async def load(self, model: str, config: str | None = None) -> None:
        if model == "nobody":
            raise NotFound("no model is named 'nobody' in the repository")
        if model == "broken":
            raise InvalidModel("broken/3/model.onnx is cut short")
        if config == "{":
            raise InvalidInput("config is no JSON")
        self.loaded.append((model, config))

    async def unload(self, model: str) -> None:
        if model == "nobody":
            raise NotFound("no model is named 'nobody'")
        self.unloaded.append(model)


@asynccontextmanager
async def inference_server(
    engine: Engine,
    *,
    max_pending: int = 8,
    access: Access | None = None,
    ready: bool = True,
) -> AsyncIterator[tuple[int, Boundary]]:
    """The inference service on a free port of loopback, over the engine."""
    clock = SystemClock()
    boundary = Boundary(RpcMetrics(CollectorRegistry()), clock, 30.0, access)
    decoders = Decoders(2, 1_000_000, max_pending, clock)
    servicer = InferenceServicer(
        engine, boundary, decoders, ready=lambda: ready, release="0.0-test"
    )
    server = grpc.aio.server()
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, StrictServer(server))  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, boundary
    finally:
        # Not 0: what gRPC then still tells comes to the loop of the next test.
        await server.stop(5)
        decoders.close()


@asynccontextmanager
async def inference_stub(engine: FakeEngine, **options: Any) -> AsyncIterator[Any]:
    """A stub of the service over the engine."""
    local = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        inference_server(engine, **options) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=local) as channel,
    ):
        yield inference_pb2_grpc.GRPCInferenceServiceStub(channel)
