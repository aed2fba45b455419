"""One version of one model while it is served: its variants, each behind a batcher.

::

    LOADING --> READY --> UNLOADING --> gone
       |
       +------> UNAVAILABLE(reason)

A version is opened and warmed up in a thread, beside what is served. Only then is it `Served`;
`secondlook.cloud.engine.lineup` switches to it in one step of the event loop, and drains the old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.asking import Ask, Detected, Inferred
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.batching import (
    IMAGES,
    TENSORS,
    Batcher,
    ImageInput,
    TensorInput,
)
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidConfig, NotFound

DEFAULT_MIN_SCORE = 0.05
MAIN_VARIANT = "fp32"


@dataclass(frozen=True, slots=True)
class Opened:
    """A release whose network is loaded and warm, on every instance.

    Attributes:
        release: what was opened.
        backends: one for each instance, at least one.
    """

    release: Release
    backends: Sequence[Backend]


Open = Callable[[Release], Opened]
"""Loads a release and warms it up. Blocking; raises `InvalidModel`, `InvalidConfig`,
`MissingDependency`, `ModelFailure` or `Unavailable`, with nothing left open."""

MakeBatcher = Callable[[Opened], Batcher]


def open_all(releases: Sequence[Release], open_one: Open) -> list[Opened]:
    """Open every variant of a version, or none. Blocking."""
    opened: list[Opened] = []
    with ExitStack() as undo:
        for release in releases:
            opened.append(open_one(release))
            undo.callback(close_all, opened[-1:])
        undo.pop_all()
    return opened


def close_all(opened: Sequence[Opened]) -> None:
    """Release the networks. Blocking."""
    for one in opened:
        for backend in one.backends:
            backend.close()


class Served:
    """One version of one model. Start it in the running event loop.

    Args:
        opened: its variants, the main one first.
        make_batcher: puts a batcher in front of a variant.
    """

    def __init__(self, opened: Sequence[Opened], make_batcher: MakeBatcher) -> None:
        main = opened[0]
        backend = main.backends[0]
        self.releases = tuple(one.release for one in opened)
        self.config: ModelConfig = main.release.config
        self.model = self.config.name
        self.version = main.release.version
        self.state = State.READY
        self.reason = ""
        self.info: ModelInfo | None = None if backend.detector is None else backend.detector.info
        self.signature: Signature = backend.signature
        self.min_score = min_score(self.config.parameters)
        self.memory_bytes = sum(held.memory_bytes for one in opened for held in one.backends)
        self.batchers: dict[str, Batcher] = {
            one.release.variant: make_batcher(one) for one in opened
        }
        self._main = next(iter(self.batchers.values()))

    @property
    def waiting(self) -> int:
        """Requests that wait in front of it."""
        return sum(batcher.waiting for batcher in self.batchers.values())

    @property
    def in_flight(self) -> int:
        """Requests that it has accepted and not answered."""
        return sum(batcher.in_flight for batcher in self.batchers.values())

    @property
    def statistics(self) -> Statistics:
        """What its main variant has done."""
        return self._main.statistics

    def start(self) -> None:
        """Start its threads."""
        for batcher in self.batchers.values():
            batcher.start()

    def batcher(self, variant: str = "") -> Batcher:
        """That of a variant; the main one where it has no such variant."""
        return self.batchers.get(variant, self._main)

    async def detect(
        self, image: Image, ask: Ask, *, min_score: float, variant: str = "", reason: str = ""
    ) -> Detected:
        """See `Serving.detect`."""
        if self.info is None:
            raise NotFound(f"{self.model!r} is no detector; ask it with tensors")
        asked = ImageInput(image, min_score or self.min_score)
        return Detected(*await self.batcher(variant).submit(IMAGES, asked, ask, reason=reason))

    async def infer(
        self,
        tensors: Tensors,
        ask: Ask,
        outputs: Sequence[str],
        *,
        variant: str = "",
        reason: str = "",
    ) -> Inferred:
        """See `Serving.infer`."""
        asked = TensorInput(tensors, outputs)
        return Inferred(*await self.batcher(variant).submit(TENSORS, asked, ask, reason=reason))

    async def drain(self) -> None:
        """Finish what was accepted, then release the networks."""
        self.state = State.UNLOADING
        async with anyio.create_task_group() as tasks:
            for batcher in self.batchers.values():
                tasks.start_soon(batcher.drain)


def min_score(parameters: Mapping[str, str]) -> float:
    """The score below which boxes are not returned where the caller names none.

    Raises:
        InvalidConfig: it is no number between 0 and 1.
    """
    given = parameters.get("min_score", "")
    if not given:
        return DEFAULT_MIN_SCORE
    try:
        score = float(given)
    except ValueError:
        score = -1.0
    if not 0.0 < score < 1.0:
        raise InvalidConfig(f"parameters: min_score is {given[:40]!r}; between 0 and 1 expected")
    return score
