"""The engine `local`: models in this process, each behind its own batcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.asking import Ask, Detected, Inferred, Ran
from secondlook.cloud.engine.batcher import Batcher
from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.queue import Overflow
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.repository.config import ModelConfig
from secondlook.shared.clock import Clock
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.errors import InvalidConfig, NotFound

ACCELERATOR_BATCH = 16
"""Most images in one call where nothing is configured and the model does not run on a CPU."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to be served.

    Attributes:
        detector: the model.
        min_score: boxes below are not returned where the caller names no score.
        max_batch: most images in one call; 0 chooses (see `batch_limit`).
    """

    detector: Detector
    min_score: float = 0.05
    max_batch: int = 0


def batch_limit(info: ModelInfo, asked: int) -> int:
    """How many images one call of the network takes.

    On a CPU a batch saves at most a tenth per image but makes the first caller wait for the last,
    so the default there is 1; on an accelerator it is everything, so the default is 16.
    """
    if asked == 0:
        asked = 1 if info.provider == "CPU" else ACCELERATOR_BATCH
    return max(1, min(asked, info.max_batch))


class LocalEngine:
    """See `Serving`. Start it inside a running event loop; `drain` closes the models.

    Args:
        models: the models; the first is the default.
        max_queue: most requests that wait, per model.
        max_wait_s: how long an idle device waits for a fuller batch.
        overflow: what a full queue does.
        metrics: where to count.
        clock: the clock of the deadlines.

    Raises:
        InvalidConfig: no model, or two of the same name.
    """

    def __init__(
        self,
        models: Sequence[Loaded],
        *,
        metrics: EngineMetrics,
        max_queue: int = 64,
        max_wait_s: float = 0.0,
        overflow: Overflow = Overflow.REJECT,
        clock: Clock | None = None,
    ) -> None:
        if not models:
            raise InvalidConfig("models: at least one model is needed")
        self._batchers: dict[str, Batcher] = {}
        self._min_scores: dict[str, float] = {}
        for model in models:
            info = model.detector.info
            if info.name in self._batchers:
                raise InvalidConfig(f"models: two models are named {info.name!r}")
            self._min_scores[info.name] = model.min_score
            self._batchers[info.name] = Batcher(
                model.detector,
                max_batch=batch_limit(info, model.max_batch),
                max_queue=max_queue,
                max_wait_s=max_wait_s,
                overflow=overflow,
                metrics=metrics,
                clock=clock,
            )
        self._default = next(iter(self._batchers))

    def start(self) -> None:
        """Start one thread per model."""
        for batcher in self._batchers.values():
            batcher.start()

    def detectors(self) -> Sequence[ModelInfo]:
        """See `Serving.detectors`."""
        return [batcher.info for batcher in self._batchers.values()]

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        """See `Serving.detector`."""
        return self._batcher(model, version).info

    def signature(self, model: str, version: str = "") -> Signature:
        """See `Serving.signature`."""
        self._batcher(model, version)
        raise NotFound(f"{model!r} takes images, no tensors")

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        """See `Serving.detect`; a ``min_score`` of 0 means the model's own."""
        batcher = self._batcher(ask.model, ask.version)
        info = batcher.info
        wanted = min_score or self._min_scores[info.name]
        found, queue_s, infer_s = await batcher.infer(
            image, min_score=wanted, deadline=ask.deadline
        )
        return Detected(found, Ran(info.name, info.version, queue_s=queue_s, infer_s=infer_s))

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        """See `Serving.infer`."""
        self.signature(ask.model, ask.version)
        raise AssertionError("unreachable")

    def index(self) -> Sequence[Entry]:
        """See `Catalogue.index`."""
        return [Entry(info.name, info.version, State.READY) for info in self.detectors()]

    def config(self, model: str, version: str = "") -> ModelConfig:
        """See `Catalogue.config`."""
        info = self.detector(model, version)
        return ModelConfig(info.name, "onnxruntime", max_batch=info.max_batch, derived=True)

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        """See `Catalogue.statistics`."""
        infos = [self.detector(model, version)] if model else self.detectors()
        return [Statistics(info.name, info.version) for info in infos]

    async def load(self, model: str, config: str | None = None) -> None:
        """See `Catalogue.load`."""
        raise NotFound(f"no model is named {model!r} in the repository")

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`."""
        raise NotFound(f"no model is named {model!r} in the repository")

    def _batcher(self, model: str, version: str) -> Batcher:
        name = model or self._default
        batcher = self._batchers.get(name)
        if batcher is None:
            raise NotFound(f"no model is named {name!r}; served are {', '.join(self._batchers)}")
        if version not in ("", batcher.info.version):
            raise NotFound(f"{name!r} has no version {version!r}")
        return batcher

    async def drain(self) -> None:
        """See `Serving.drain`."""
        async with anyio.create_task_group() as tasks:
            for batcher in self._batchers.values():
                tasks.start_soon(batcher.drain)
