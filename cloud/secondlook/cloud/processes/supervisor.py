"""Starts the processes that share a port, starts again those that die, and drains them all."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.cloud.address import reserved
from secondlook.cloud.processes.child import Child, started
from secondlook.cloud.processes.gathered import Gathered
from secondlook.cloud.processes.link import Failed, Serving
from secondlook.cloud.processes.metrics import ProcessMetrics
from secondlook.cloud.settings import CloudSettings
from secondlook.cloud.stopping import announce, obey
from secondlook.shared.background import background_tasks
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import SecondlookError, Unavailable
from secondlook.shared.telemetry import get_logger, serve_metrics

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Pause before a process is started again; doubles with each that dies young."""
YOUNG_S = 60.0
"""A process that has served for longer has shown that it can."""
GRACE_S = 10.0
"""Added to what draining may take, for all that is released after it."""

Start = Callable[[int, CloudSettings], AbstractAsyncContextManager[Child]]


@dataclass(slots=True)
class Place:
    """Where a process is kept running.

    Attributes:
        child: the one that runs now.
        serving: whether it answers calls.
        metrics_port: where its metrics are.
    """

    child: Child | None = None
    serving: bool = False
    metrics_port: int | None = None


class Supervisor:
    """See the module.

    Args:
        settings: of each process; the port is one that is reserved.
        metrics: where to count.
        start: starts a process.
        clock: tells how long one has lived.
    """

    def __init__(
        self,
        settings: CloudSettings,
        metrics: ProcessMetrics,
        *,
        start: Start = started,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._start = start
        self._clock = clock or SystemClock()
        self._places = [Place() for _ in range(settings.server.processes)]
        self._stop = anyio.Event()
        self._complete = anyio.Event()
        self._failure: SecondlookError | None = None
        self._log = get_logger(__name__)

    @property
    def stop(self) -> anyio.Event:
        """Set it, and all processes are drained."""
        return self._stop

    @property
    def serving(self) -> bool:
        """Whether calls are answered: one process suffices, as none but those that do listen."""
        return not self._stop.is_set() and any(place.serving for place in self._places)

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that run now."""
        return [place.child.pid for place in self._places if place.child is not None]

    def metrics_ports(self) -> Mapping[int, int]:
        """Of the processes that serve now, by number."""
        ports = ((number, place.metrics_port) for number, place in enumerate(self._places))
        return {number: port for number, port in ports if port is not None}

    async def complete(self) -> None:
        """Return when all processes answer calls for the first time."""
        await self._complete.wait()

    def kill(self) -> None:
        """End all processes at once."""
        for place in self._places:
            if place.child is not None:
                place.child.kill()

    async def run(self) -> None:
        """Keep the processes running until `stop` is set, and return when they have drained.

        Raises:
            SecondlookError: one could not serve at the first start, where settings are wrong rather
                than something has happened. The others are ended.
        """
        async with background_tasks() as tasks:
            tasks.start_soon(self._drain)
            async with anyio.create_task_group() as keeping:
                for number in range(len(self._places)):
                    keeping.start_soon(self._keep, number)
        if self._failure is not None:
            raise self._failure

    async def _keep(self, number: int) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = self._clock.monotonic()
            why = await self._live(number)
            if self._stop.is_set():
                return
            if self._clock.monotonic() - began_s > YOUNG_S:
                pause_s = FIRST_PAUSE_S
            wait_s = pause_s * random.uniform(0.5, 1.0)
            self._log.error("process ended", process=number, why=why, again_in_s=round(wait_s, 2))
            with anyio.move_on_after(wait_s):
                await self._stop.wait()
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._metrics.restarted(number)

    async def _live(self, number: int) -> str:
        """One process, from its start to its end; says why it ended."""
        place = self._places[number]
        async with self._start(number, self._settings) as child:
            place.child = child
            try:
                report = await child.report()
                if isinstance(report, Serving):
                    self._begun(number, child, report.metrics_port)
                why = ended(await child.wait())
                if isinstance(report, Failed):
                    why = str(report.error)
                    self._cannot_begin(report.error)
                elif report is None:
                    self._cannot_begin(Unavailable(f"process {number} {why} before it served"))
                return why
            finally:
                place.child, place.serving, place.metrics_port = None, False, None
                self._metrics.serves(number, ready=False)

    def _begun(self, number: int, child: Child, metrics_port: int | None) -> None:
        place = self._places[number]
        place.serving, place.metrics_port = True, metrics_port
        self._metrics.serves(number, ready=True)
        self._log.info("process serves", process=number, pid=child.pid)
        if self._stop.is_set():
            child.drain()
        if all(other.serving for other in self._places):
            self._complete.set()

    def _cannot_begin(self, error: SecondlookError) -> None:
        """What ends a process before all have ever served will end the next one too."""
        if not (self._complete.is_set() or self._stop.is_set()):
            self._failure = error
            self._stop.set()

    async def _drain(self) -> None:
        """Drain all at `stop`; what takes too long is killed."""
        await self._stop.wait()
        for place in self._places:
            if place.child is None:
                continue
            if place.serving:
                place.child.drain()
            else:
                # It has accepted nothing, and may load for minutes.
                place.child.kill()
        await anyio.sleep(2 * self._settings.server.drain_timeout_s + GRACE_S)
        self._log.warning("processes did not end in time, killed", pids=self.pids)
        self.kill()


def ended(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


async def supervise(settings: CloudSettings, ready_file: Path | None = None) -> None:
    """Serve with several processes until a signal. The first one drains, the second one ends all.

    Args:
        settings: what to serve, where; ``server.processes`` says how many.
        ready_file: gets ``{"port", "metrics_port", "pid", "processes"}`` as JSON once all of them
            answer calls; ``processes`` are their ids.

    Raises:
        Unavailable: a port is in use.
        SecondlookError: see `Supervisor.run`.
    """
    server, registry = settings.server, CollectorRegistry()
    with reserved(server.host, server.port, shared=server.reuse_port) as port:
        supervisor = Supervisor(
            _of_each(settings, port), ProcessMetrics(registry, server.processes)
        )
        registry.register(Gathered(supervisor.metrics_ports))
        async with AsyncExitStack() as stack:
            metrics_port = None
            if settings.metrics.enabled:
                metrics_port = await stack.enter_async_context(
                    serve_metrics(
                        registry,
                        settings.metrics.host,
                        settings.metrics.port,
                        ready=lambda: supervisor.serving,
                    )
                )
            signals = stack.enter_context(anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM))
            tasks = await stack.enter_async_context(background_tasks())
            tasks.start_soon(obey, signals, supervisor.stop, supervisor.kill)

            async def tell() -> None:
                await supervisor.complete()
                get_logger(__name__).info(
                    "all processes serve", port=port, processes=server.processes
                )
                if ready_file is not None:
                    said = {
                        "port": port,
                        "metrics_port": metrics_port,
                        "pid": os.getpid(),
                        "processes": supervisor.pids,
                    }
                    await anyio.to_thread.run_sync(announce, ready_file, said)

            tasks.start_soon(tell)
            await supervisor.run()


def _of_each(settings: CloudSettings, port: int) -> CloudSettings:
    """What each process is told: the port that all share, and metrics for the supervisor alone."""
    return settings.model_copy(
        update={
            "server": settings.server.model_copy(update={"port": port}),
            "metrics": settings.metrics.model_copy(update={"host": "127.0.0.1", "port": 0}),
        }
    )
