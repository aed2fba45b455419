"""One version of one model while it is served: its variants, each behind a batcher.

::

    LOADING --> READY --> UNLOADING --> gone
       |
       +------> UNAVAILABLE(reason)

A version is opened and warmed up in a thread, beside what is served. Only then is it `Served`;
`secondlook.cloud.engine.lineup` switches to it in one step of the event loop, and drains the old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.asking import Ask, Detected, Inferred
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.batching import (
    IMAGES,
    TENSORS,
    ImageInput,
    TensorInput,
)
from secondlook.cloud.engine.front import Front
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.stability.guard import Guard
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidConfig, NotFound

DEFAULT_MIN_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class Opened:
    """A release whose network is loaded and warm, on every instance.

    Attributes:
        release: what was opened.
        backends: one for each instance, at least one.
        guard: the breaker around all of them; ``None``: there is none.
        loss: how much less accurate than the main variant it was measured to be, as a share;
            ``None``: not measured.
        speed: how many times faster than that one it was measured to be; ``None``: not measured.
    """

    release: Release
    backends: Sequence[Backend]
    guard: Guard | None = None
    loss: float | None = 0.0
    speed: float | None = None


Open = Callable[[Release], Opened]
"""Loads a release and warms it up. Blocking; raises `InvalidModel`, `InvalidConfig`,
`MissingDependency`, `ModelFailure` or `Unavailable`, with nothing left open."""

MakeBatcher = Callable[[Opened], Front]


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


@dataclass(frozen=True, slots=True)
class ServedVariant:
    """One variant at work.

    Attributes:
        batcher: what runs it.
        guard: the breaker around its network; ``None``: there is none.
        loss, speed: see `Opened`.
    """

    batcher: Front
    guard: Guard | None
    loss: float | None
    speed: float | None


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
        self.info: ModelInfo | None = None if backend.detector is None else backend.detector.info
        self.signature: Signature = backend.signature
        self.min_score = min_score(self.config.parameters)
        self.memory_bytes = sum(held.memory_bytes for one in opened for held in one.backends)
        self.variants = {
            one.release.variant: ServedVariant(make_batcher(one), one.guard, one.loss, one.speed)
            for one in opened
        }
        self._main = next(iter(self.variants.values()))
        self._unwatch: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        """Requests that wait in front of it."""
        return sum(variant.batcher.waiting for variant in self.variants.values())

    @property
    def in_flight(self) -> int:
        """Requests that it has accepted and not answered."""
        return sum(variant.batcher.in_flight for variant in self.variants.values())

    @property
    def hung(self) -> int:
        """Calls of its networks that have run for too long."""
        return sum(
            variant.guard.hung for variant in self.variants.values() if variant.guard is not None
        )

    @property
    def statistics(self) -> Statistics:
        """What it has done, in all variants."""
        first, *others = (variant.batcher.statistics for variant in self.variants.values())
        return first.plus(others) if others else first

    def start(self, cut_off: Callable[[], None] = lambda: None) -> None:
        """Start its threads.

        Args:
            cut_off: told, in the event loop, when a breaker has opened.
        """
        loop = asyncio.get_running_loop()
        for variant in self.variants.values():
            variant.batcher.start()
            if variant.guard is not None:
                self._unwatch.append(
                    variant.guard.on_open(_opened(variant, variant.guard, loop, cut_off))
                )

    async def detect(
        self, image: Image, ask: Ask, *, min_score: float, variant: str = "", reason: str = ""
    ) -> Detected:
        """See `Serving.detect`; of a variant, the main one where it has no such variant."""
        if self.info is None:
            raise NotFound(f"{self.model!r} is no detector; ask it with tensors")
        chosen = self.variants.get(variant, self._main)
        if chosen.guard is not None:
            chosen.guard.check()
        asked = ImageInput(image, min_score or self.min_score)
        return Detected(*await chosen.batcher.submit(IMAGES, asked, ask, reason=reason))

    async def infer(
        self,
        tensors: Tensors,
        ask: Ask,
        outputs: Sequence[str],
        *,
        variant: str = "",
        reason: str = "",
    ) -> Inferred:
        """See `Serving.infer`; of a variant, the main one where it has no such variant."""
        chosen = self.variants.get(variant, self._main)
        if chosen.guard is not None:
            chosen.guard.check()
        asked = TensorInput(tensors, outputs)
        return Inferred(*await chosen.batcher.submit(TENSORS, asked, ask, reason=reason))

    def replaced(self) -> None:
        """Its calls that hang are not waited for: a fresh copy stands behind the same breakers."""
        for variant in self.variants.values():
            if variant.guard is not None:
                variant.guard.abandon()

    async def drain(self) -> None:
        """Finish what was accepted, then release the networks."""
        try:
            async with anyio.create_task_group() as tasks:
                for variant in self.variants.values():
                    tasks.start_soon(variant.batcher.drain)
        finally:
            for unwatch in self._unwatch:
                unwatch()


def _opened(
    variant: ServedVariant,
    guard: Guard,
    loop: asyncio.AbstractEventLoop,
    cut_off: Callable[[], None],
) -> Callable[[], None]:
    """What a breaker calls, in any thread, when it opens."""

    def fail() -> None:
        # A thread that hangs comes back for none of them.
        variant.batcher.fail_waiting(guard.refusal())
        cut_off()

    def tell() -> None:
        # Where the loop is closed nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(fail)

    return tell


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
