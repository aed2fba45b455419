"""The engine `ray`: versions come and go as in `local`; the networks run on a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Open, Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.ray.deploying import Deployer, connect
from secondlook.cloud.engine.ray.front import RayFront
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.engine.ray.telling import EVERY_S, ReplicaMetrics
from secondlook.cloud.stability import Breakers
from secondlook.shared.background import background_tasks
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import SecondlookError, Unavailable
from secondlook.shared.telemetry import get_logger


class RayEngine(LocalEngine):
    """See `LocalEngine`, whose arguments it takes as well.

    Each version of a model is an application of Ray Serve, whose replicas hold the same backends
    behind the same batchers. This process keeps no state beside what it has under way.

    Args:
        settings: which cluster.
        open_release: loads a release, in a replica: a function of a module, and files that are on
            every node.
        registry: where to count, and to show what the replicas count.
        policy: of the replicas' batchers, where a model says nothing.
        breakers: one goes around each application; ``None``: none does.
        clock: the clock of the deadlines.
        options: see `LocalEngine`.
    """

    def __init__(
        self,
        settings: RaySettings,
        *,
        open_release: Open,
        registry: CollectorRegistry,
        policy: Policy | None = None,
        breakers: Breakers | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._ray_settings = settings
        self._deployer = Deployer(settings, open_release, policy or Policy(), breakers)
        front_clock = clock or SystemClock()

        def make_front(opened: Opened) -> RayFront:
            release = opened.release
            counted = self._metrics.of_batcher(
                release.config.name, release.version, release.variant
            )
            return RayFront(opened, settings, front_clock, counted)

        self._replicas = ReplicaMetrics(registry)
        super().__init__(
            registry=registry,
            open_release=self._deployer,
            policy=policy,
            clock=clock,
            make_batcher=make_front,
            **options,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Serve while the block runs; on leaving, finish what was accepted.

        Raises:
            MissingDependency: ray is not installed.
            Unavailable: there is no cluster.
        """
        leave = await anyio.to_thread.run_sync(connect, self._ray_settings)
        try:
            async with background_tasks() as tasks:
                tasks.start_soon(self._renew, tasks)
                tasks.start_soon(self._look)
                async with super().running():
                    yield self
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(leave)

    async def drain(self) -> None:
        """See `Serving.drain`."""
        self._deployer.leaving = True
        await super().drain()

    async def _renew(self, tasks: TaskGroup) -> None:
        """Say, again and again, what is needed here."""
        while True:
            await anyio.sleep(self._ray_settings.lease_s / 3)
            try:
                lapsed = await anyio.to_thread.run_sync(self._deployer.renew)
            except Unavailable as error:
                get_logger(__name__).warning("leases were not renewed", error=str(error))
                continue
            for holder in lapsed:
                # It may take minutes; the others are not to lapse meanwhile.
                tasks.start_soon(self._restore, holder)

    async def _restore(self, holder: str) -> None:
        log = get_logger(__name__)
        try:
            await anyio.to_thread.run_sync(self._deployer.restore, holder, abandon_on_cancel=True)
        except SecondlookError as error:
            log.warning("what was deleted is not back", error=str(error))

    async def _look(self) -> None:
        """Show what the replicas count."""
        while True:
            await anyio.sleep(EVERY_S)
            try:
                self._replicas.show(await anyio.to_thread.run_sync(self._deployer.told))
            except Unavailable:
                # What is shown is what is known.
                self._replicas.show(())
