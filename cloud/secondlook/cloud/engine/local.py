"""The engine `local`: models in this process, each behind its own batcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.batcher import Batcher
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.queue import Overflow
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.errors import InvalidConfig, NotFound
from secondlook.shared.values import Detections

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
    """See `Engine`. Start it inside a running event loop; `drain` closes the models.

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

    def models(self) -> Sequence[ModelInfo]:
        """See `Engine.models`."""
        return [batcher.info for batcher in self._batchers.values()]

    async def infer(
        self, model: str, image: Image, *, min_score: float, deadline: Deadline
    ) -> tuple[Detections, float, float]:
        """See `Engine.infer`; a ``min_score`` of 0 means the model's own."""
        name = model or self._default
        batcher = self._batchers.get(name)
        if batcher is None:
            raise NotFound(f"no model is named {name!r}; served are {', '.join(self._batchers)}")
        wanted = min_score or self._min_scores[name]
        return await batcher.infer(image, min_score=wanted, deadline=deadline)

    async def drain(self) -> None:
        """See `Engine.drain`."""
        async with anyio.create_task_group() as tasks:
            for batcher in self._batchers.values():
                tasks.start_soon(batcher.drain)
