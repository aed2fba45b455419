"""Finishes, beside what is served, the versions that are served no longer."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from secondlook.cloud.engine.lifecycle import Served


class Drains:
    """Drains in tasks of their own.

    Args:
        tasks: where they run.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self._open: dict[Served, tuple[anyio.Event, anyio.CancelScope]] = {}

    def start(self, served: Served, gone: Callable[[Served], None]) -> None:
        """Drain a version; ``gone`` is told when it is."""
        self._open[served] = anyio.Event(), anyio.CancelScope()
        self.tasks.start_soon(self._drain, served, gone)

    async def wait(self) -> None:
        """Until every drain that has begun is done."""
        while self._open:
            await next(iter(self._open.values()))[0].wait()

    async def done(self, served: Served) -> None:
        """Until one version is drained."""
        if served in self._open:
            await self._open[served][0].wait()

    def cut_short(self) -> None:
        """Fail what still waits for an answer; what runs is left to itself."""
        for _, scope in self._open.values():
            scope.cancel()

    async def _drain(self, served: Served, gone: Callable[[Served], None]) -> None:
        done, scope = self._open[served]
        try:
            with scope:
                await served.drain()
        finally:
            del self._open[served]
            done.set()
            gone(served)
