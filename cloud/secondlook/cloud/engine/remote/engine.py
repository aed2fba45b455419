"""The engine `remote`: what another server serves, as if it were served here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.to_thread
from typing_extensions import Self

from secondlook.cloud.backends.remote_protocol import read_authority
from secondlook.cloud.engine.asking import Ask, Detected, Inferred, Ran
from secondlook.cloud.engine.catalogue import Entry
from secondlook.cloud.engine.remote.client import RemoteServer
from secondlook.cloud.engine.remote.directory import Directory
from secondlook.cloud.engine.remote.model import RemoteModel
from secondlook.cloud.engine.remote.settings import RemoteSettings
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.engine.watched import watched
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.stability.guard import Guard
from secondlook.shared.background import background_tasks
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Overloaded,
    SecondlookError,
    Unavailable,
)
from secondlook.shared.telemetry import get_logger


class RemoteEngine:
    """See `Engine`. Serves inside `running`; every other method is for the inside of that block.

    It keeps no queue: the other server has one. What it knows of the models is looked up again
    every ``refresh_s``, and after each load and unload; the protocol has no way to be told.

    Args:
        settings: where the server is.
        default: what is meant where no model is named; empty: the first detector.
        clock: the clock of the deadlines.
        guard: the breaker around the server; ``None``: there is none.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        default: str = "",
        clock: Clock | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._settings = settings
        self._default = default
        self._clock = clock or SystemClock()
        self._guard = guard
        self._in_flight = 0
        self._quiet = anyio.Event()
        self._draining = False
        self._log = get_logger(__name__)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Serve while the block runs; on leaving, finish what was accepted.

        Raises:
            Unavailable: the server cannot be reached.
            InvalidConfig: the certificate cannot be read.
        """
        settings = self._settings
        certificates = await anyio.to_thread.run_sync(
            read_authority, settings.ca, "engine.remote.ca"
        )
        self._server = RemoteServer(settings, certificates, self._clock)
        self._directory = Directory(
            self._server,
            settings.models,
            anyio.CapacityLimiter(settings.threads),
            self._clock,
        )
        try:
            await self._server.greet()
            await self._directory.refresh()
            async with background_tasks() as tasks:
                tasks.start_soon(self._keep_fresh)
                yield self
        finally:
            with anyio.CancelScope(shield=True):
                await self.drain()

    def detectors(self) -> Sequence[ModelInfo]:
        """See `Serving.detectors`."""
        found = [one.eyes.info for one in self._directory.mains() if one.eyes is not None]
        return sorted(found, key=lambda info: info.name != self._default)

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        """See `Serving.detector`."""
        found = self._find(model, version)
        if found.eyes is None:
            raise NotFound(f"{found.name!r} is no detector; ask it with tensors")
        return found.eyes.info

    def signature(self, model: str, version: str = "") -> Signature:
        """See `Serving.signature`."""
        return self._raw(model, version).signature

    async def prepare(self, ask: Ask) -> None:
        """Nothing to be done: the other server holds what it serves."""

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        """See `Serving.detect`."""
        model = self._find(ask.model, ask.version)
        if model.eyes is None:
            raise NotFound(f"{model.name!r} is no detector; ask it with tensors")
        with self._accepted(model, ask, 1) as done:
            found, ran = await model.eyes.look(image, ask, min_score)
            done(ran)
            return Detected(found, ran)

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        """See `Serving.infer`."""
        model = self._raw(ask.model, ask.version)
        rows = model.signature.rows(tensors)
        known = [spec.name for spec in model.signature.outputs]
        for name in outputs:
            if name not in known:
                raise InvalidInput(f"no output is named {name[:64]!r}; outputs are {known}")
        with self._accepted(model, ask, rows) as done:
            found, ran = await self._server.infer(
                model.name, ask.version, model.signature, tensors, ask, outputs
            )
            done(ran)
            return Inferred(found, ran)

    async def drain(self) -> None:
        """See `Serving.drain`. A drain that is cancelled fails what is under way."""
        self._draining = True
        try:
            while self._in_flight:
                await self._quiet.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._server.close()

    def index(self) -> Sequence[Entry]:
        """See `Catalogue.index`."""
        return self._directory.entries

    def config(self, model: str, version: str = "") -> ModelConfig:
        """See `Catalogue.config`."""
        return self._find(model, version).config

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        """See `Catalogue.statistics`: what each has done for us, not what it did for others."""
        if model and version:
            return [self._find(model, version).statistics]
        if model:
            self._find(model, "")
        return [one.statistics for one in self._directory.models() if model in ("", one.name)]

    async def load(self, model: str, config: str | None = None) -> None:
        """See `Catalogue.load`; the server decides whether we may."""
        self._check_open()
        try:
            await self._server.load(model, config)
        finally:
            await self._directory.refresh()

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`; the server decides whether we may."""
        self._check_open()
        try:
            await self._server.unload(model)
        finally:
            await self._directory.refresh()

    def _find(self, model: str, version: str) -> RemoteModel:
        self._check_open()
        return self._directory.find(model or self._first(), version)

    def _raw(self, model: str, version: str) -> RemoteModel:
        found = self._find(model, version)
        if not found.signature.inputs:
            raise NotFound(f"{found.name!r} takes images, no tensors")
        return found

    def _first(self) -> str:
        if self._default:
            return self._default
        infos = self.detectors()
        if not infos:
            raise NotFound(f"{self._settings.address} serves no detector; name a model")
        return infos[0].name

    def _check_open(self) -> None:
        if self._draining:
            raise Unavailable("the engine is draining")

    @contextmanager
    def _accepted(self, model: RemoteModel, ask: Ask, rows: int) -> Iterator[Callable[[Ran], None]]:
        """One request on its way; the block says what answered it."""
        if ask.deadline.expired(self._clock):
            raise DeadlineExceeded()
        if self._in_flight >= self._settings.max_in_flight:
            raise Overloaded(f"{self._in_flight} requests wait for {self._settings.address}")
        counted = model.statistics
        began_s = self._clock.monotonic()
        answered: list[Ran] = []
        self._in_flight += 1
        try:
            with watched(self._guard, rows, ask.deadline.at_s - began_s):
                yield answered.append
        except NotFound:
            # It was there when we looked.
            self._directory.stale()
            raise
        finally:
            took_s = self._clock.monotonic() - began_s
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()
                self._quiet = anyio.Event()
            if answered:
                counted = self._directory.counted(model, answered[0].version)
                counted.success.add(took_s)
                counted.inferences += rows
                counted.executions += 1
                counted.compute_infer.add(took_s)
                counted.last_inference_ms = int(self._clock.wall() * 1000)
            else:
                counted.fail.add(took_s)

    async def _keep_fresh(self) -> None:
        while True:
            with anyio.move_on_after(self._settings.refresh_s):
                await self._directory.wanted()
            try:
                await self._directory.refresh()
            except SecondlookError as error:
                # What is known stays; whoever asks hears what the server says then.
                self._log.warning("the remote server does not answer", error=str(error))
