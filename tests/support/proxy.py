"""A proxy that hurts: delays, throttles, stalls, cuts and corrupts real connections on loopback.

::

    async with FaultProxy("127.0.0.1", cloud_port).running() as proxy:
        client = connect(proxy.target)
        proxy.stall()            # nothing passes until `proxy.resume()`
        proxy.corrupt_next(Direction.UP)
        proxy.cut_after(Direction.DOWN, 100)
        await proxy.cut()        # now, both directions, every connection
        proxy.refuse()           # new connections are closed at once, until `proxy.accept()`
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from secondlook.shared.measure import CountingProxy, Direction


class FaultProxy(CountingProxy):
    """A `CountingProxy` that does harm when told; harmless until then.

    Attributes:
        delay_s: each piece of data waits this long, both directions.
        bytes_per_s: throughput of each direction; ``None``: not throttled.
        refused: connections closed on arrival because of `refuse`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        delay_s: float = 0.0,
        bytes_per_s: float | None = None,
    ) -> None:
        super().__init__(host, port)
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s
        self.refused = 0
        self._refusing = False
        self._flowing = anyio.Event()
        self._flowing.set()
        self._corrupt: set[Direction] = set()
        self._left: dict[Direction, int] = {}

    def stall(self) -> None:
        """Hold everything back, as a black hole would; connections stay open."""
        self._flowing = anyio.Event()

    def resume(self) -> None:
        """Let what was held back pass."""
        self._flowing.set()

    def refuse(self) -> None:
        """Close new connections on arrival."""
        self._refusing = True

    def accept(self) -> None:
        """Take new connections again."""
        self._refusing = False

    def heal(self) -> None:
        """Do no harm any more, neither now nor later."""
        self._corrupt.clear()
        self._left.clear()
        self.delay_s = 0.0
        self.bytes_per_s = None
        self.accept()
        self.resume()

    def corrupt_next(self, direction: Direction) -> None:
        """Flip every bit of the next piece of data."""
        self._corrupt.add(direction)

    def cut_after(self, direction: Direction, size: int) -> None:
        """Let ``size`` more bytes pass that way, then break every connection, once."""
        self._left[direction] = size

    async def passed(self, direction: Direction, data: bytes) -> bytes:
        await self._flowing.wait()
        wait_s = self.delay_s + (len(data) / self.bytes_per_s if self.bytes_per_s else 0.0)
        if wait_s:
            await anyio.sleep(wait_s)
        if direction in self._corrupt:
            self._corrupt.discard(direction)
            data = bytes(byte ^ 0xFF for byte in data)
        left = self._left.get(direction)
        if left is not None:
            data = data[:left]
            self._left[direction] = left - len(data)
        return data

    async def sent(self, direction: Direction) -> None:
        if self._left.get(direction) == 0:
            del self._left[direction]
            await self.cut()

    def admits(self) -> bool:
        self.refused += self._refusing
        return not self._refusing


@asynccontextmanager
async def fault_proxy(port: int) -> AsyncIterator[FaultProxy]:
    """A running `FaultProxy` in front of a loopback port."""
    proxy = FaultProxy("127.0.0.1", port)
    async with proxy.running():
        yield proxy
