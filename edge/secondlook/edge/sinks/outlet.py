"""Between the pipelines and the sinks: a bounded queue and a thread for each sink."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter

from secondlook.edge.sinks.protocol import Event, Sink
from secondlook.shared.errors import SecondlookError
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)
_BATCH = 64


class Outlet:
    """Feeds one sink. What the sink does, or fails to do, is felt nowhere else."""

    def __init__(self, sink: Sink, limit: int, dropped: Counter, failures: Counter) -> None:
        self._sink = sink
        self._events: deque[Event] = deque()
        self._limit = limit
        self._arrived = anyio.Event()
        self._closing = False
        self._failing = False
        self._dropped = dropped.labels(sink.name)
        self._failures = failures.labels(sink.name)

    @property
    def wants_images(self) -> bool:
        """Whether events need their image."""
        return self._sink.wants_images

    def put(self, event: Event) -> None:
        """Hand over an event; never waits. The oldest goes where the sink is too slow."""
        if len(self._events) >= self._limit:
            self._events.popleft()
            self._dropped.inc()
        self._events.append(event)
        self._arrived.set()

    def finish(self) -> None:
        """No more events come."""
        self._closing = True
        self._arrived.set()

    async def run(self) -> None:
        """Write until `finish`, then flush and close the sink."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._events:
                batch = [self._events.popleft() for _ in range(min(_BATCH, len(self._events)))]
                await self._guarded(batch)
            if self._closing:
                await self._guarded(None)
                return

    async def _guarded(self, batch: list[Event] | None) -> None:
        """Write a batch, or close the sink; a failure ends here."""
        try:
            if batch is None:
                await anyio.to_thread.run_sync(self._sink.close)
            else:
                await anyio.to_thread.run_sync(self._sink.write, batch)
        except (OSError, SecondlookError) as error:
            self._failures.inc(len(batch) if batch is not None else 1)
            if not self._failing or batch is None:
                # Once for each bad time, not once for each event of it.
                _log.error("sink failed", sink=self._sink.name, error=str(error))
            self._failing = True
        else:
            if self._failing and batch is not None:
                _log.info("sink works again", sink=self._sink.name)
                self._failing = False


class Outlets:
    """All sinks of a daemon."""

    def __init__(self, sinks: Iterable[Sink], limit: int, registry: CollectorRegistry) -> None:
        dropped = Counter(
            "secondlook_edge_sink_dropped",
            "Events that a slow sink never got.",
            ["sink"],
            registry=registry,
        )
        failures = Counter(
            "secondlook_edge_sink_failed",
            "Events that a sink could not write.",
            ["sink"],
            registry=registry,
        )
        self._outlets = [Outlet(sink, limit, dropped, failures) for sink in sinks]

    @property
    def want_images(self) -> bool:
        """Whether any sink needs the images of events."""
        return any(outlet.wants_images for outlet in self._outlets)

    def put(self, event: Event) -> None:
        """Hand an event to every sink; never waits."""
        bare = Event(event.observation, event.media_s)
        for outlet in self._outlets:
            outlet.put(event if outlet.wants_images else bare)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write while the block runs; what was handed over is flushed at its end."""
        async with anyio.create_task_group() as tasks:
            for outlet in self._outlets:
                tasks.start_soon(self._run, outlet)
            try:
                yield
            finally:
                for outlet in self._outlets:
                    outlet.finish()

    @staticmethod
    async def _run(outlet: Outlet) -> None:
        # A daemon that ends in an error still writes what it has said: `finish` ends this.
        with anyio.CancelScope(shield=True):
            await outlet.run()
