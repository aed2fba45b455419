"""An emulated radio link: a TCP proxy with a rate, a delay that jitters, loss, and a hole in time.

What is emulated is what TCP makes of a link, not packets: bytes keep their order, and a segment
that is lost holds up everything behind it until it has been sent again. While the link is down it
is a black hole, as a lost radio cell is: connections stay, and nothing passes until it is back.
Not emulated: slow start, and the pauses of TCP's own timers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc
import numpy as np

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.measure.link import Link
from secondlook.shared.measure.proxy import BROKEN, CountingProxy
from secondlook.shared.measure.traffic import Direction
from secondlook.shared.measure.window import Passed

SEGMENT_BYTES = 1448
"""Payload of a TCP segment on Ethernet, with time stamps."""

_BUFFER_BYTES = 128 * 1024
"""What the link holds before the sender is held up, about what a modem queues."""


@dataclass(slots=True)
class _Way:
    """One direction of the link, shared by all connections.

    Attributes:
        bytes_per_s: its rate.
        draw: of jitter and loss.
        free_s: since when nothing is being sent.
    """

    bytes_per_s: float
    draw: np.random.Generator
    free_s: float = -math.inf

    def leaves(self, link: Link, now_s: float, size: int) -> float:
        """When ``size`` bytes that come now have arrived at the other end.

        Args:
            link: the link.
            now_s: now, seconds since the link began.
            size: how many bytes.
        """
        start_s = max(now_s, self.free_s)
        if link.is_down(start_s):
            assert link.down_from_s is not None
            start_s = link.down_from_s + link.down_for_s
        self.free_s = start_s + size / self.bytes_per_s
        if link.loss:
            segments = math.ceil(size / SEGMENT_BYTES)
            again = int(self.draw.binomial(segments, link.loss))
            # What was lost goes again, and all that follows waits for it.
            self.free_s += again * (link.rtt_s + SEGMENT_BYTES / self.bytes_per_s)
        jitter_s = float(self.draw.exponential(link.jitter_s)) if link.jitter_s else 0.0
        return self.free_s + link.rtt_s / 2 + jitter_s


@dataclass(slots=True)
class _Line:
    """Data on its way through one direction of one connection."""

    held: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    ended: bool = False
    error: Exception | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)

    def put(self, due_s: float, data: bytes) -> None:
        self.held.append((due_s, data))
        self.size += len(data)
        self._wake()

    def taken(self) -> None:
        self.size -= len(self.held.popleft()[1])
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        self.ended, self.error = True, error
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class LinkProxy(CountingProxy):
    """A `CountingProxy` whose connections share an emulated link.

    Args:
        host, port: the server.
        link: what lies between.
        clock: of the delays; sleeping is real.
        seed: of jitter and loss.

    Attributes:
        sent_up: what the edge put on the link, and when, seconds since the link began.
        sent_down: the same of the cloud.
    """

    def __init__(
        self, host: str, port: int, link: Link, *, clock: Clock | None = None, seed: int = 0
    ) -> None:
        super().__init__(host, port)
        self._link = link
        self._clock = clock or SystemClock()
        self._began_s = 0.0
        up, down = np.random.default_rng(seed).spawn(2)
        self._ways = {
            Direction.UP: _Way(link.up_kbit_s * 125, up),
            Direction.DOWN: _Way(link.down_kbit_s * 125, down),
        }
        self.sent_up: list[Passed] = []
        self.sent_down: list[Passed] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LinkProxy]:
        """See `CountingProxy.running`; the time of an outage counts from here."""
        async with super().running():
            self._began_s = self._clock.monotonic()
            yield self

    @property
    def link(self) -> Link:
        """What lies between."""
        return self._link

    def cut_for(self, for_s: float, in_s: float = 0.0) -> None:
        """The link is down for ``for_s`` seconds, ``in_s`` seconds from now, and never else."""
        self._link = self._link.with_outage(self.time_s + in_s, for_s)

    @property
    def time_s(self) -> float:
        """Seconds since the link began."""
        return self._clock.monotonic() - self._began_s

    async def passed(self, direction: Direction, data: bytes) -> bytes:
        """See `CountingProxy.passed`."""
        sent = self.sent_up if direction is Direction.UP else self.sent_down
        sent.append(Passed(self.time_s, len(data)))
        return data

    async def carry(
        self, direction: Direction, source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream
    ) -> None:
        """See `CountingProxy.carry`: reading goes on while what was read is on its way."""
        line = _Line()
        way = self._ways[direction]

        async def read() -> None:
            try:
                async for data in self.incoming(direction, source):
                    line.put(way.leaves(self._link, self.time_s, len(data)), data)
                    while line.size > _BUFFER_BYTES:
                        await line.changed.wait()
                line.end()
            except BROKEN as error:
                line.end(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            try:
                await self._deliver(direction, line, sink)
            except BROKEN as error:
                line.end(error)
            tasks.cancel_scope.cancel()
        if line.error is not None:
            # Here, where no group wraps it.
            raise line.error

    async def _deliver(
        self, direction: Direction, line: _Line, sink: anyio.abc.SocketStream
    ) -> None:
        """Send what is on its way when it is due, to its end."""
        arrived_s = -math.inf
        while True:
            while not line.held:
                if line.ended:
                    return
                await line.changed.wait()
            due_s, data = line.held[0]
            # Jitter never turns the order round.
            arrived_s = max(due_s, arrived_s)
            wait_s = arrived_s - self.time_s
            if wait_s > 0:
                await anyio.sleep(wait_s)
            await sink.send(data)
            line.taken()
            await self.sent(direction)
