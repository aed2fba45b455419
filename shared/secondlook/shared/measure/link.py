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
from dataclasses import dataclass, field, replace

import anyio
import anyio.abc
import numpy as np

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure.proxy import BROKEN, CountingProxy
from secondlook.shared.measure.traffic import Direction
from secondlook.shared.measure.window import Passed

SEGMENT_BYTES = 1448
"""Payload of a TCP segment on Ethernet, with time stamps."""

_BUFFER_BYTES = 128 * 1024
"""What the link holds before the sender is held up, about what a modem queues."""


@dataclass(frozen=True, slots=True)
class Link:
    """A kind of link.

    Attributes:
        name: what people call it.
        up_kbit_s, down_kbit_s: rate each way, 1000 bits a second.
        rtt_s: round trip of an empty link, half of it each way.
        jitter_s: mean of an exponential delay on top, each way.
        loss: share of segments that must be sent again, each of which costs a round trip more.
        down_from_s: since when the link is down, seconds after the proxy started; ``None``: never.
        down_for_s: for how long.
        source: where the figures come from.

    Raises:
        InvalidInput: a figure is out of range.
    """

    name: str
    up_kbit_s: float
    down_kbit_s: float
    rtt_s: float
    jitter_s: float = 0.0
    loss: float = 0.0
    down_from_s: float | None = None
    down_for_s: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        positive = {"up_kbit_s": self.up_kbit_s, "down_kbit_s": self.down_kbit_s}
        for what, value in positive.items():
            if not (value > 0 and math.isfinite(value)):
                raise InvalidInput(f"{what} of link {self.name} is {value}; above 0 expected")
        times = {
            "rtt_s": self.rtt_s,
            "jitter_s": self.jitter_s,
            "down_from_s": self.down_from_s or 0.0,
            "down_for_s": self.down_for_s,
        }
        for what, value in times.items():
            if not (value >= 0 and math.isfinite(value)):
                raise InvalidInput(f"{what} of link {self.name} is {value}; at least 0 expected")
        if not 0 <= self.loss < 1:
            raise InvalidInput(f"loss of link {self.name} is {self.loss}; 0 to below 1 expected")

    def is_down(self, at_s: float) -> bool:
        """Whether the link is down, so many seconds after it began."""
        start_s = self.down_from_s
        return start_s is not None and start_s <= at_s < start_s + self.down_for_s

    def with_outage(self, from_s: float, for_s: float) -> Link:
        """The same, cut for a while."""
        return replace(self, down_from_s=from_s, down_for_s=for_s)


LINKS = {
    link.name: link
    for link in (
        Link(
            "5g",
            20_000,
            50_000,
            0.025,
            0.005,
            source=(
                "Rizvi et al. 2025 (arXiv 2507.18834), a CDN's view of mobile clients: 60 % get "
                "less than 50 Mbit/s down, and 5 % regularly less than 20 ms; the rate up and the "
                "jitter are assumed"
            ),
        ),
        Link(
            "4g",
            3_000,
            4_000,
            0.06,
            0.015,
            source=(
                "rates: Regular 4G/LTE of the throttling profiles of Firefox's developer tools "
                "(4 Mbit/s down, 3 up); their 20 ms are a least latency, the round trip here and "
                "the jitter are assumed"
            ),
        ),
        Link(
            "lossy",
            750,
            1_600,
            0.15,
            0.03,
            loss=0.01,
            source=(
                "rates and round trip: Lighthouse's default throttling, about the slowest quarter "
                "of 4G connections (1.6 Mbit/s down, 0.75 up, 150 ms); the loss of 1 % and the "
                "jitter are assumed"
            ),
        ),
    )
}
"""The presets that are links by themselves; an outage is a hole in one of them."""

OUTAGE = "outage"
OUTAGE_S = 60.0


def link_named(name: str, seconds: float) -> Link:
    """A preset, for something that takes ``seconds``.

    ``outage`` is ``4g`` cut for 60 s in the middle, or for the middle third where that is shorter.

    Raises:
        InvalidInput: there is no such preset.
    """
    if name == OUTAGE:
        hole_s = min(OUTAGE_S, seconds / 3)
        cut = LINKS["4g"].with_outage((seconds - hole_s) / 2, hole_s)
        return replace(cut, name=OUTAGE, source=f"{cut.source}; cut for {hole_s:.0f} s")
    if name not in LINKS:
        raise InvalidInput(f"unknown link {name!r}; expected {', '.join([*LINKS, OUTAGE])}")
    return LINKS[name]


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

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LinkProxy]:
        """See `CountingProxy.running`; the time of an outage counts from here."""
        async with super().running():
            self._began_s = self._clock.monotonic()
            yield self

    @property
    def time_s(self) -> float:
        """Seconds since the link began."""
        return self._clock.monotonic() - self._began_s

    async def passed(self, direction: Direction, data: bytes) -> bytes:
        """See `CountingProxy.passed`."""
        if direction is Direction.UP:
            self.sent_up.append(Passed(self.time_s, len(data)))
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
