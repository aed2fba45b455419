"""A loopback TCP proxy between the tiers: counts what really passes, and lets faults be put in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc

from secondlook.shared.measure.traffic import Direction, SetupScanner, Traffic

_CHUNK_BYTES = 65536
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""How a stream tells that its other side is gone."""


class CountingProxy:
    """Passes TCP connections on to one server and counts their payload in both directions.

    Use as ``async with CountingProxy(host, port).running() as proxy: connect to proxy.target``.
    Subclasses override `passed`, `sent` and `admits` to delay, change, cut or
    refuse what travels, and `carry` where reading must go on while what was read is held back.

    Args:
        host: host of the server.
        port: port of the server; may be changed with `redirect` while running.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._port = 0
        self._traffic = Traffic()
        self._open: set[anyio.abc.SocketStream] = set()

    @property
    def port(self) -> int:
        """The loopback port to connect to, once running."""
        return self._port

    @property
    def target(self) -> str:
        """``127.0.0.1:port``, once running."""
        return f"127.0.0.1:{self._port}"

    @property
    def traffic(self) -> Traffic:
        """What has passed so far; a snapshot, so that two of them can be subtracted."""
        return self._traffic

    def redirect(self, host: str, port: int) -> None:
        """Send new connections to another server (a service that restarted elsewhere)."""
        self._server = (host, port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[CountingProxy]:
        """Listen on a free loopback port; every connection is closed at the end."""
        failure: Exception | None = None
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
            anyio.create_task_group() as tasks,
        ):
            attribute = anyio.abc.SocketAttribute.local_port
            self._port = listener.extra(attribute)  # noqa: S610 - not Django's
            tasks.start_soon(listener.serve, self._connection)
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                failure = error
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def cut(self) -> None:
        """Break every open connection, in both directions, at once."""
        for stream in tuple(self._open):
            await anyio.aclose_forcefully(stream)

    async def passed(self, direction: Direction, data: bytes) -> bytes:
        """What goes on of ``data``; called in order, one call at a time per direction.

        What this returns is counted. Empty bytes: nothing goes on, nothing is counted.
        """
        return data

    async def sent(self, direction: Direction) -> None:
        """Called after data went on."""

    async def carry(
        self,
        direction: Direction,
        source: anyio.abc.SocketStream,
        sink: anyio.abc.SocketStream,
    ) -> None:
        """Move all that comes from ``source`` on to ``sink``, until its end."""
        async for data in self.incoming(direction, source):
            await sink.send(data)
            await self.sent(direction)

    async def incoming(
        self, direction: Direction, source: anyio.abc.SocketStream
    ) -> AsyncIterator[bytes]:
        """What comes from ``source`` and goes on, counted; ends where the sender has ended."""
        scanner = SetupScanner(direction)
        with suppress(anyio.EndOfStream):
            while True:
                data = await self.passed(direction, await source.receive(_CHUNK_BYTES))
                if data:
                    self._count(direction, data, scanner)
                    yield data

    def admits(self) -> bool:
        """Whether the next connection is taken; otherwise it is closed at once."""
        return True

    async def _connection(self, client: anyio.abc.SocketStream) -> None:
        async with client:
            if not self.admits():
                return
            try:
                server = await anyio.connect_tcp(*self._server)
            except OSError:
                return  # the client sees its connection closed, as from a dead server
            async with server:
                self._traffic += Traffic(connections=1)
                ends = {client, server}
                self._open |= ends
                try:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._pump, Direction.UP, client, server)
                        tasks.start_soon(self._pump, Direction.DOWN, server, client)
                finally:
                    self._open -= ends

    async def _pump(
        self,
        direction: Direction,
        source: anyio.abc.SocketStream,
        sink: anyio.abc.SocketStream,
    ) -> None:
        try:
            await self.carry(direction, source, sink)
            # Half-closed: the other direction goes on until its own end.
            with suppress(*BROKEN):
                await sink.send_eof()
        except BROKEN:
            # One side is gone: so that the other does not wait for ever, both go.
            await anyio.aclose_forcefully(source)
            await anyio.aclose_forcefully(sink)

    def _count(self, direction: Direction, data: bytes, scanner: SetupScanner) -> None:
        before = scanner.setup_bytes
        scanner.feed(data)
        setup = scanner.setup_bytes - before
        payload = len(data) - setup
        self._traffic += (
            Traffic(up=payload, setup_up=setup)
            if direction is Direction.UP
            else Traffic(down=payload, setup_down=setup)
        )
