"""From the settings to a running engine, with the models that it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engine.ray import RayEngine
from secondlook.cloud.engine.remote import RemoteEngine
from secondlook.cloud.engine.workshop import Changed
from secondlook.cloud.models import Models, open_release
from secondlook.cloud.prefetch import EVERY_S, LeastRecent, Prefetcher, Recorder, Residency
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.repository import ModelRepository
from secondlook.cloud.repository.snapshot import Snapshot
from secondlook.cloud.serving_settings import (
    BatcherSettings,
    Control,
    EngineKind,
    ModelSettings,
    RepositorySettings,
)
from secondlook.cloud.settings import CloudSettings
from secondlook.cloud.stability import Breakers, GuardedBackend
from secondlook.shared.background import background_tasks
from secondlook.shared.clock import Clock
from secondlook.shared.detect.session import usable_cores
from secondlook.shared.errors import InvalidConfig, StoreError
from secondlook.shared.telemetry import get_logger

LoadModels = Callable[[Sequence[ModelSettings]], Sequence[Loaded]]


@asynccontextmanager
async def running_engine(
    settings: CloudSettings,
    registry: CollectorRegistry,
    clock: Clock,
    *,
    load: LoadModels | None = None,
    breakers: Breakers | None = None,
    changed: Changed | None = None,
) -> AsyncIterator[Engine]:
    """The engine that the settings ask for, serving what they say.

    Args:
        settings: of the service.
        registry: where to count.
        clock: the clock of the deadlines.
        load: opens the models of the settings in another way than from their files.
        breakers: one goes around each backend; ``None``: none does.
        changed: told of each version that came, was replaced, or is served no more.

    Raises:
        InvalidConfig, InvalidModel: a model that the settings name cannot be served.
        MissingDependency: ray is not installed.
        Unavailable: there is no such cluster, or no such server.
    """
    if settings.engine.kind is EngineKind.REMOTE:
        there = settings.engine.remote
        guard = None if breakers is None else breakers.guard(f"remote:{there.address}", lanes=0)
        remote = RemoteEngine(there, default=settings.engine.default, clock=clock, guard=guard)
        async with remote.running() as engine:
            yield engine
        return
    lone = () if load is not None else settings.models
    opened: Sequence[Loaded] = ()
    if load is not None:
        opened = await anyio.to_thread.run_sync(load, settings.models)
    held = settings.repository
    repository = await anyio.to_thread.run_sync(_repository, held)
    recorder = None if settings.prefetch.record is None else Recorder(settings.prefetch.record)
    options: dict[str, Any] = {
        "registry": registry,
        "policy": policy_of(settings.batcher),
        "source": Models(lone, repository),
        "explicit": held.control is Control.EXPLICIT,
        "default": settings.engine.default or (lone[0].name if lone else ""),
        "memory_bytes": held.memory_mb * 1024 * 1024,
        "residency": _residency(settings),
        "changed": changed,
        "asked": None if recorder is None else recorder.asked,
        "clock": clock,
    }
    local: LocalEngine
    if settings.engine.kind is EngineKind.RAY:
        local = RayEngine(
            settings.engine.ray,
            open_release=open_release,
            breakers=breakers,
            gone=None if breakers is None else _forgetting(breakers),
            **options,
        )
    else:
        local = LocalEngine(
            [model.opened() for model in opened],
            open_release=_opener(breakers, default_threads(settings.server.processes)),
            gone=None if breakers is None else _forgetting(breakers),
            **options,
        )
    async with _writing(recorder), local.running():
        for model in lone:
            await local.fetch(model.name)
        async with _following(local, repository, held):
            yield local


@asynccontextmanager
async def _writing(recorder: Recorder | None) -> AsyncIterator[None]:
    """Write down, about every second, what is recorded while the block runs."""
    if recorder is None:
        yield
        return

    async def write() -> None:
        while True:
            await anyio.sleep(EVERY_S)
            try:
                await recorder.flush()
            except StoreError as error:
                get_logger(__name__).warning("requests were not recorded", error=str(error))

    try:
        async with background_tasks() as tasks:
            tasks.start_soon(write)
            yield
    finally:
        with suppress(StoreError), anyio.CancelScope(shield=True):
            await recorder.flush()


@asynccontextmanager
async def _following(
    engine: LocalEngine, repository: ModelRepository | None, held: RepositorySettings
) -> AsyncIterator[None]:
    """Serve what the repository holds, and follow it while the block runs."""
    if repository is None:
        yield
        return
    if held.control is Control.EXPLICIT:
        for name in held.load:
            await engine.fetch(name)
        await engine.survey()
        yield
        return
    changes = repository.changes(held.poll_s)
    await engine.update(await anext(changes))
    async with background_tasks() as tasks:
        if held.control is Control.POLL:
            tasks.start_soon(_follow, engine, changes)
        yield


def _residency(settings: CloudSettings) -> Residency:
    """What chooses the models in memory.

    Raises:
        MissingDependency: it is to forecast, and river is not installed.
    """
    prefetch = settings.prefetch
    if not (prefetch.enabled and settings.repository.memory_mb):
        return LeastRecent()
    return Prefetcher(
        spare_s=prefetch.spare_s, at_once=prefetch.at_once, when_idle=prefetch.when_idle
    )


def policy_of(batcher: BatcherSettings) -> Policy:
    """What holds where a model says nothing of its own."""
    return Policy(
        max_queue=batcher.max_queue,
        max_per_tenant=batcher.max_per_tenant,
        overflow=batcher.overflow,
        max_queue_delay_s=batcher.max_wait_ms / 1000,
        admission=batcher.admission,
    )


def _repository(held: RepositorySettings) -> ModelRepository | None:
    if absent := held.absent():
        raise InvalidConfig("; ".join(absent))
    return ModelRepository(held.paths) if held.paths else None


async def _follow(engine: LocalEngine, changes: AsyncIterator[Snapshot]) -> None:
    async with anyio.create_task_group() as updates:
        async for snapshot in changes:
            # A load takes minutes; what the files say about other models is not to wait for it.
            updates.start_soon(engine.update, snapshot)


def _forgetting(breakers: Breakers) -> Changed:
    def forget(model: str, version: str) -> None:
        for guard in breakers.guards():
            if guard.name.startswith(f"{model}:{version}:"):
                breakers.forget(guard.name)

    return forget


def default_threads(processes: int) -> int:
    """Threads of a network that names none; 0: one per core, of which this process has all."""
    return 0 if processes == 1 else max(1, usable_cores() // processes)


def _opener(breakers: Breakers | None, threads: int) -> Callable[[Release], Opened]:
    if breakers is None:
        return partial(open_release, threads=threads)

    def open_guarded(release: Release) -> Opened:
        opened = open_release(release, threads=threads)
        name = f"{release.config.name}:{release.version}:{release.variant}"
        guard = breakers.guard(name, lanes=len(opened.backends))
        backends = [GuardedBackend(backend, guard) for backend in opened.backends]
        return replace(opened, backends=backends, guard=guard)

    return open_guarded
