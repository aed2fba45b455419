"""From the settings to a running engine, with the models that it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.lineup import Changed
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.models import Models, open_release
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.repository import ModelRepository
from secondlook.cloud.repository.snapshot import Snapshot
from secondlook.cloud.settings import BatcherSettings, CloudSettings, Control, ModelSettings
from secondlook.cloud.stability import Breakers, GuardedBackend
from secondlook.shared.clock import Clock
from secondlook.shared.errors import InvalidConfig

LoadModels = Callable[[Sequence[ModelSettings]], Sequence[Loaded]]


@asynccontextmanager
async def local_engine(
    settings: CloudSettings,
    registry: CollectorRegistry,
    clock: Clock,
    *,
    load: LoadModels | None = None,
    breakers: Breakers | None = None,
    changed: Changed | None = None,
) -> AsyncIterator[LocalEngine]:
    """The engine `local`, serving what the settings say; follows the repository meanwhile.

    Args:
        settings: of the service.
        registry: where to count.
        clock: the clock of the deadlines.
        load: opens the models of the settings in another way than from their files.
        breakers: one goes around each backend; ``None``: none does.
        changed: told of each version that came, was replaced, or has gone.

    Raises:
        InvalidConfig, InvalidModel: a model that the settings name cannot be served.
    """
    lone = () if load is not None else settings.models
    opened: Sequence[Loaded] = ()
    if load is not None:
        opened = await anyio.to_thread.run_sync(load, settings.models)
    held = settings.repository
    repository = await anyio.to_thread.run_sync(_repository, held.paths)
    engine = LocalEngine(
        [model.opened() for model in opened],
        registry=registry,
        policy=policy_of(settings.batcher),
        open_release=_opener(breakers),
        source=Models(lone, repository),
        explicit=held.control is Control.EXPLICIT,
        default=settings.engine.default or (lone[0].name if lone else ""),
        changed=changed,
        gone=None if breakers is None else _forgetting(breakers),
        clock=clock,
    )
    async with engine.running():
        for model in lone:
            await engine.fetch(model.name)
        if repository is None:
            yield engine
        elif held.control is Control.EXPLICIT:
            for name in held.load:
                await engine.fetch(name)
            await engine.survey()
            yield engine
        else:
            changes = repository.changes(held.poll_s)
            await engine.update(await anext(changes))
            async with anyio.create_task_group() as tasks:
                if held.control is Control.POLL:
                    tasks.start_soon(_follow, engine, changes)
                failure: Exception | None = None
                try:
                    yield engine
                except Exception as error:  # noqa: BLE001 - raised below: a group would wrap it
                    failure = error
                tasks.cancel_scope.cancel()
            if failure is not None:
                raise failure


def policy_of(batcher: BatcherSettings) -> Policy:
    """What holds where a model says nothing of its own."""
    return Policy(
        max_queue=batcher.max_queue,
        max_per_tenant=batcher.max_per_tenant,
        overflow=batcher.overflow,
        max_queue_delay_s=batcher.max_wait_ms / 1000,
        admission=batcher.admission,
    )


def _repository(paths: Sequence[Path]) -> ModelRepository | None:
    for path in paths:
        if not path.is_dir():
            raise InvalidConfig(f"repository.paths: {path} is no directory")
    return ModelRepository(paths) if paths else None


async def _follow(engine: LocalEngine, changes: AsyncIterator[Snapshot]) -> None:
    async for snapshot in changes:
        await engine.update(snapshot)


def _forgetting(breakers: Breakers) -> Changed:
    def forget(model: str, version: str) -> None:
        for guard in breakers.guards():
            if guard.name.startswith(f"{model}:{version}:"):
                breakers.forget(guard.name)

    return forget


def _opener(breakers: Breakers | None) -> Callable[[Release], Opened]:
    if breakers is None:
        return open_release

    def open_guarded(release: Release) -> Opened:
        opened = open_release(release)
        name = f"{release.config.name}:{release.version}:{release.variant}"
        guard = breakers.guard(name, lanes=len(opened.backends))
        return Opened(
            release, [GuardedBackend(backend, guard) for backend in opened.backends], guard
        )

    return open_guarded
