"""The engine `local`: models in this process, each version behind batchers of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.cloud.engine.adapting.metrics import AdaptingMetrics
from secondlook.cloud.engine.asking import Ask, Detected, Inferred
from secondlook.cloud.engine.batcher_factory import batcher_factory
from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.catalogue import Entry
from secondlook.cloud.engine.choosing import Chosen
from secondlook.cloud.engine.drains import Drains
from secondlook.cloud.engine.lifecycle import MakeBatcher, Open, Opened, Served
from secondlook.cloud.engine.lifecycle_metrics import LifecycleMetrics
from secondlook.cloud.engine.lineups import Lineups, Source
from secondlook.cloud.engine.local_static import opens_nothing
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.residents import Residents
from secondlook.cloud.engine.residents_metrics import ResidentsMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.cloud.engine.workshop import Changed, Workshop
from secondlook.cloud.prefetch import EVERY_S, LeastRecent, Residency
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.repository.snapshot import Snapshot
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidConfig, NotFound, PermissionDenied, Unavailable


class LocalEngine:
    """See `Engine`. Serves inside `running`; every other method is for the inside of that block.

    Args:
        models: what is open already; the first is the default.
        registry: where to count.
        policy: of the batchers, where a model says nothing.
        open_release: loads a release; ``None``: only ``models`` are served.
        source: where `load` finds models; ``None``: nowhere.
        explicit: whether callers may load and unload.
        default: what is meant where no model is named; empty: the first that is ready.
        memory_bytes: most that the models of the source take together; 0: no bound, all are loaded.
        residency: chooses which are in memory; default: those asked for last.
        changed: told of each version that came, was replaced, or is served no more.
        gone: told of each version of which nothing is in memory any more.
        clock: the clock of the deadlines.
        asked: told of each request: its model, and when it came, monotonic seconds.
        make_batcher: what stands in front of what was opened; ``None``: a batcher of ``policy``.

    Raises:
        InvalidConfig: two models of the same name.
    """

    def __init__(
        self,
        models: Sequence[Opened] = (),
        *,
        registry: CollectorRegistry,
        policy: Policy | None = None,
        open_release: Open | None = None,
        source: Source | None = None,
        explicit: bool = False,
        default: str = "",
        memory_bytes: int = 0,
        residency: Residency | None = None,
        changed: Changed | None = None,
        gone: Changed | None = None,
        clock: Clock | None = None,
        make_batcher: MakeBatcher | None = None,
        asked: Callable[[str, float], None] | None = None,
    ) -> None:
        names = [opened.release.config.name for opened in models]
        doubled = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if doubled is not None:
            raise InvalidConfig(f"models: two models are named {doubled!r}")
        self._models = tuple(models)
        self._asked = asked or (lambda _model, _at_s: None)
        self._policy = policy or Policy()
        self._open = open_release or opens_nothing
        self._source = source
        self._explicit = explicit
        self._default = default or next(iter(names), "")
        self._memory_bytes = memory_bytes
        self._residency = residency or LeastRecent()
        self._registry = registry
        self._changed = changed or _nobody
        self._gone = gone or _nobody
        self._clock = clock or SystemClock()
        self._metrics = EngineMetrics(registry)
        self._make_batcher = make_batcher or batcher_factory(
            self._policy, self._metrics, self._clock
        )
        self._loads = LifecycleMetrics(registry)
        self._adapting = AdaptingMetrics(registry)
        self._draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Serve while the block runs; on leaving, finish what was accepted."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            self._begin(tasks)
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - raised below, outside: a group would wrap it
                failure = error
            finally:
                await self.drain()
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def detectors(self) -> Sequence[ModelInfo]:
        """See `Serving.detectors`."""
        infos = (routes.main.info for routes in self._lineups.serving())
        return [info for info in infos if info is not None]

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        """See `Serving.detector`."""
        served = self._named(model, version)
        if served.info is None:
            raise NotFound(f"{served.model!r} is no detector; ask it with tensors")
        return served.info

    def signature(self, model: str, version: str = "") -> Signature:
        """See `Serving.signature`."""
        served = self._named(model, version)
        if not served.signature.inputs:
            raise NotFound(f"{served.model!r} takes images, no tensors")
        return served.signature

    def waiting(self, model: str = "") -> int:
        """Requests that wait for a model now.

        Raises:
            NotFound: it is not served.
        """
        return sum(served.waiting for served in self._lineups.ready(model).versions.values())

    def route(self, ask: Ask) -> Ask:
        """The same, with the model and the version that answer it as things stand.

        Raises:
            NotFound: none does.
        """
        return self._lineups.route(ask)

    def fingerprint(self, model: str, version: str = "") -> str:
        """SHA-256 of the file of a version that is ready; empty where there is none.

        Raises:
            NotFound: no such model or version is ready.
        """
        return self._named(model, version).releases[0].digest

    async def prepare(self, ask: Ask) -> None:
        """See `Serving.prepare`."""
        if self._draining:
            raise Unavailable("the engine is draining")
        if self._residents is not None:
            await self._lineups.prepare(ask)

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        """See `Serving.detect`; a ``min_score`` of 0 means the model's own."""
        asked_s = self._clock.monotonic()
        if self._residents is not None:
            await self.prepare(ask)
        # From here to the queue nothing is awaited: what is chosen is not drained in between.
        served, variant, reason = self._choose(ask)
        self._asked(served.model, asked_s)
        return await served.detect(image, ask, min_score=min_score, variant=variant, reason=reason)

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        """See `Serving.infer`."""
        asked_s = self._clock.monotonic()
        if self._residents is not None:
            await self.prepare(ask)
        served, variant, reason = self._choose(ask)
        self._asked(served.model, asked_s)
        return await served.infer(tensors, ask, outputs, variant=variant, reason=reason)

    async def drain(self) -> None:
        """See `Serving.drain`. A drain that is cancelled fails what still waits."""
        self._draining = True
        self._lineups.unload_all()
        try:
            await self._drains.wait()
        except anyio.get_cancelled_exc_class():
            self._drains.cut_short()
            raise

    def index(self) -> Sequence[Entry]:
        """See `Catalogue.index`."""
        return self._lineups.index()

    def config(self, model: str, version: str = "") -> ModelConfig:
        """See `Catalogue.config`."""
        return self._lineups.config(model, version)

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        """See `Catalogue.statistics`."""
        if model and version:
            return [self._named(model, version).statistics]
        every = [self._lineups.ready(model)] if model else self._lineups.serving()
        return [served.statistics for routes in every for served in routes.versions.values()]

    async def load(self, model: str, config: str | None = None) -> None:
        """See `Catalogue.load`. A caller that goes away does not end the load.

        Raises:
            PermissionDenied: models come and go with the files of the repository alone.
        """
        self._permit("loaded")
        await self._lineups.fetch(model, config)

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`. A load that runs is ended.

        Raises:
            PermissionDenied: models come and go with the files of the repository alone.
        """
        self._permit("unloaded")
        await self._lineups.unload(model)

    async def fetch(self, model: str) -> None:
        """`load`, for the service itself: whatever callers are permitted."""
        await self._lineups.fetch(model)

    async def survey(self) -> None:
        """Find out which models could be loaded, for `index`."""
        await self._lineups.survey()

    async def update(self, snapshot: Snapshot) -> None:
        """Serve what a repository holds now, and nothing else; see `Lineups.update`."""
        await self._lineups.update(snapshot)

    def _begin(self, tasks: TaskGroup) -> None:
        self._drains = Drains(tasks)
        shop = Workshop(
            open=self._open,
            make_batcher=self._make_batcher,
            drains=self._drains,
            limiter=anyio.CapacityLimiter(1),
            changed=self._changed,
            gone=self._gone,
            metrics=self._loads,
            clock=self._clock,
            adapting=self._adapting,
        )
        self._residents: Residents | None = None
        if self._memory_bytes:
            self._residents = Residents(
                self._memory_bytes,
                self._residency,
                tasks,
                self._clock,
                ResidentsMetrics(self._registry),
                self._policy.max_queue,
            )
            tasks.start_soon(self._look_ahead, self._residents)
        self._lineups = Lineups(shop, self._source, self._default, self._residents)
        for opened in self._models:
            self._lineups.adopt(opened)
        # What is unloaded is to be freed: the line-ups alone hold it from here on.
        self._models = ()

    async def _look_ahead(self, residents: Residents) -> None:
        while True:
            await anyio.sleep(EVERY_S)
            await residents.look()

    def _named(self, model: str, version: str) -> Served:
        routes = self._lineups.ready(model)
        return routes.named(version) if version else routes.main

    def _choose(self, ask: Ask) -> Chosen:
        if self._draining:
            raise Unavailable("the engine is draining")
        return self._lineups.choose(ask)

    def _permit(self, what: str) -> None:
        if self._draining:
            raise Unavailable("the engine is draining")
        if not self._explicit:
            raise PermissionDenied(
                f"models cannot be {what} by callers here",
                remedy='set repository.control = "explicit"',
            )


def _nobody(model: str, version: str) -> None:
    pass
