"""An engine for tests of what stands before engines: it answers, fails or waits as it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import numpy as np

from secondlook.cloud.cache import CachedEngine
from secondlook.cloud.engine.asking import Ask, Detected, Inferred, Ran
from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.repository.config import ModelConfig
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import NotFound
from secondlook.shared.values import Detections

NAMES = ("person", "car")


class FakeEngine:
    """One model ``m``; its box is as wide as the first pixel of the image is blue.

    Attributes:
        version: what answers.
        variant: in which variant.
        asked: the asks that came, in order.
        hold: answers wait until it is set; ``None``: they do not.
        fail: what to raise instead of an answer, by ask; ``None`` answers.
        fingerprints: by version.
    """

    def __init__(self) -> None:
        self.version = "1"
        self.variant = ""
        self.asked: list[Ask] = []
        self.hold: anyio.Event | None = None
        self.fail: Callable[[Ask], Exception | None] = lambda _: None
        self.fingerprints = {"1": "abc", "2": "def"}
        self.names = NAMES
        self.loads: list[str] = []
        self.drained = False

    def detectors(self) -> Sequence[ModelInfo]:
        return [self.detector()]

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        if model not in ("", "m"):
            raise NotFound(f"no model is named {model!r}")
        return ModelInfo("m", version or self.version, self.names, 64, 64, "fake", "CPU", 4)

    def signature(self, model: str, version: str = "") -> Signature:
        return Signature((), (), 4)

    def route(self, ask: Ask) -> Ask:
        info = self.detector(ask.model, ask.version)
        return replace(ask, model=info.name, version=info.version)

    def fingerprint(self, model: str, version: str = "") -> str:
        return self.fingerprints.get(version or self.version, "")

    async def prepare(self, ask: Ask) -> None:
        self.route(ask)

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        self.asked.append(ask)
        if self.hold is not None:
            await self.hold.wait()
        failure = self.fail(ask)
        if failure is not None:
            raise failure
        box = [0, 0, int(image[0, 0, 0]), 1]
        found = Detections.of([box], [0.5], [1], self.names)
        version = ask.version or self.version
        return Detected(found, Ran("m", version, self.variant, 0.01, 0.2, 2, "as chosen"))

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        self.asked.append(ask)
        return Inferred({"y": np.zeros(1)}, Ran("m", self.version))

    async def drain(self) -> None:
        self.drained = True

    def index(self) -> Sequence[Entry]:
        return [Entry("m", self.version, State.READY)]

    def config(self, model: str, version: str = "") -> ModelConfig:
        return ModelConfig("m", "onnxruntime")

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        return [Statistics("m", self.version)]

    async def load(self, model: str, config: str | None = None) -> None:
        self.loads.append(model)

    async def unload(self, model: str) -> None:
        self.loads.remove(model)


def blue(level: int, side: int = 8) -> Image:
    """uint8 (side, side, 3): one question for each level."""
    return np.full((side, side, 3), level, np.uint8)


def followed(engine: object) -> bool:
    """Whether a caller waits for another caller's question."""
    assert isinstance(engine, CachedEngine)
    return any(flight.followers for flight in engine.cache.flights.values())
