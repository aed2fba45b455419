"""An engine that remembers what it has answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import anyio

from secondlook.cloud.cache.content import INLINE_BYTES, content_of
from secondlook.cloud.cache.flights import Flight
from secondlook.cloud.cache.verdicts import VerdictCache
from secondlook.cloud.engine.asking import Ask, Detected, Inferred
from secondlook.cloud.engine.catalogue import Entry
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.repository.config import ModelConfig
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import DeadlineExceeded, ModelFailure


@runtime_checkable
class Routing(Protocol):
    """An engine that can tell beforehand what would answer."""

    def route(self, ask: Ask) -> Ask:
        """The same ask, with the model and version that answer it as things stand.

        Raises:
            NotFound: none does.
        """
        ...


class CachedEngine:
    """See `Engine`. ``detect`` is answered from memory where the same was asked before.

    The same: the same version, the same pixels and the same least score, to the bit (see
    `content_of`). Then the answer is the one that was given: whoever asks, for whatever purpose.
    That holds for audits too: an audit of a picture that the same version has judged already is
    the same measurement, and asking the network again would give the same boxes. What was given by
    a coarser variant than the one in use does not count as the same.

    Those who ask the same while it is in progress wait for that one answer. If its caller goes
    away, is refused or late, the next of them asks; a failure of the model is theirs as well, but
    is not kept. Nobody waits for a question less urgent than its own, nor past its own deadline.

    Raw tensors pass by: they are no verdicts.

    Args:
        engine: what answers; `VerdictCache.forget` has to be called when its versions change.
        cache: what is kept.
        clock: the clock of the deadlines.
    """

    def __init__(self, engine: Engine, cache: VerdictCache, clock: Clock | None = None) -> None:
        self._engine = engine
        self._cache = cache
        self._clock = clock or SystemClock()
        self._router = engine if isinstance(engine, Routing) else None
        self._threads = ThreadPoolExecutor(1, "digest")
        self._closed = False

    @property
    def engine(self) -> Engine:
        """What answers where nothing is known."""
        return self._engine

    @property
    def cache(self) -> VerdictCache:
        """What is kept."""
        return self._cache

    def detectors(self) -> Sequence[ModelInfo]:
        """See `Serving.detectors`."""
        return self._engine.detectors()

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        """See `Serving.detector`."""
        return self._engine.detector(model, version)

    def signature(self, model: str, version: str = "") -> Signature:
        """See `Serving.signature`."""
        return self._engine.signature(model, version)

    def prepare(self, ask: Ask) -> Coroutine[Any, Any, None]:
        """See `Serving.prepare`. Here and in `infer`: no coroutine around another that does all."""
        return self._engine.prepare(ask)

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        """See `Serving.detect`."""
        content = await self._content(image, min_score)
        cache = self._cache
        while True:
            began_s = cache.now_s()
            shelf = self._route(ask)
            kept = cache.shelves.get(shelf, content)
            if kept is not None:
                return cache.hit(shelf, kept, began_s)
            flight = cache.flights.get((shelf, content))
            if flight is None or not flight.carries(ask, self._clock):
                cache.missed(shelf, began_s)
                return await self._lead(image, ask, min_score, shelf, content)
            detected = await self._follow(flight, ask)
            # Another version than the one asked for may have answered the leader.
            if detected is not None and (detected.ran.model, detected.ran.version) == shelf:
                return cache.shared(shelf, detected, image.nbytes)

    def infer(
        self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()
    ) -> Coroutine[Any, Any, Inferred]:
        """See `Serving.infer`."""
        return self._engine.infer(tensors, ask, outputs)

    async def drain(self) -> None:
        """See `Serving.drain`."""
        await self._engine.drain()

    def close(self) -> None:
        """Release the thread. Safe to repeat."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def index(self) -> Sequence[Entry]:
        """See `Catalogue.index`."""
        return self._engine.index()

    def config(self, model: str, version: str = "") -> ModelConfig:
        """See `Catalogue.config`."""
        return self._engine.config(model, version)

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        """See `Catalogue.statistics`."""
        return [self._cache.counted(one) for one in self._engine.statistics(model, version)]

    async def load(self, model: str, config: str | None = None) -> None:
        """See `Catalogue.load`."""
        await self._engine.load(model, config)

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`."""
        await self._engine.unload(model)

    async def _content(self, image: Image, min_score: float) -> bytes:
        if image.nbytes <= INLINE_BYTES or self._closed:
            return content_of(image, min_score)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, content_of, image, min_score)

    def _route(self, ask: Ask) -> tuple[str, str]:
        if self._router is not None:
            routed = self._router.route(ask)
            return routed.model, routed.version
        info = self._engine.detector(ask.model, ask.version)
        return info.name, info.version

    async def _lead(
        self, image: Image, ask: Ask, min_score: float, shelf: tuple[str, str], content: bytes
    ) -> Detected:
        """Ask the engine, for oneself and for all who follow."""
        cache = self._cache
        flight = cache.flights[shelf, content] = Flight(ask)
        generation = cache.shelves.generation(shelf[0])
        try:
            flight.detected = await self._engine.detect(image, ask, min_score=min_score)
        except ModelFailure as failure:
            flight.failure = failure
            raise
        finally:
            if cache.flights.get((shelf, content)) is flight:
                del cache.flights[shelf, content]
            flight.done.set()
        cache.keep(content, flight.detected, image.nbytes, generation)
        return flight.detected

    async def _follow(self, flight: Flight, ask: Ask) -> Detected | None:
        """What became of another caller's question; ``None`` where that says nothing to us."""
        flight.followers += 1
        with anyio.move_on_after(ask.deadline.remaining_s(self._clock)):
            await flight.done.wait()
        if not flight.done.is_set():
            raise DeadlineExceeded()
        if flight.failure is not None:
            raise ModelFailure(flight.failure.message) from flight.failure
        return flight.detected
