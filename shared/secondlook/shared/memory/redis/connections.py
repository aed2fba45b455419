"""Connections to one Redis server, each lent to one exchange at a time.

An exchange is some commands and their replies: one round trip. redis-py's own client is not used:
it repeats commands by itself, and after a cut nobody knows whether a write happened; and a write
and its WAIT must take the same connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

Command = tuple[str | bytes | int, ...]


class Connections:
    """At most ``size`` connections to one server.

    Args:
        make: a connection, not yet opened.
        greeting: sent once, first, on each connection, with its first exchange.
        size: most connections.
        timeout_s: longest wait for a connection, and for an exchange.
    """

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        greeting: Command | None,
        size: int,
        timeout_s: float,
    ) -> None:
        self._make = make
        self._greeting = greeting
        self._timeout_s = timeout_s
        self._free = anyio.Semaphore(size, fast_acquire=True)
        self._idle: list[AbstractConnection] = []
        self._greeted: set[AbstractConnection] = set()
        self._retired = False

    async def exchange(self, commands: Sequence[Command], wait_s: float = 0.0) -> list[Any]:
        """The reply to each command; one that Redis refused is an exception in the list.

        Args:
            commands: sent at once.
            wait_s: how long a command among them may take on purpose.

        Raises:
            RedisError, OSError, TimeoutError: the connection failed; what happened is unknown.
        """
        with anyio.fail_after(self._timeout_s + wait_s):
            async with self._free:
                return await self._exchange(commands)

    async def retire(self) -> None:
        """Close what is idle now, and the rest when its exchange ends."""
        self._retired = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await _close(connection, self._greeted)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = await self._take()
        whole = False
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]
            greet = self._greeting is not None and connection not in self._greeted
            if greet:
                assert self._greeting is not None
                commands = [self._greeting, *commands]
            await connection.send_packed_command(packed(commands), check_health=False)
            replies = [await _reply(connection) for _ in commands]
            whole = True
            # A greeting is refused for what the command after it is refused for; sent again then.
            if greet and not isinstance(replies.pop(0), ResponseError):
                self._greeted.add(connection)
            return replies
        finally:
            # What was left unread must never be taken for the answer to a later command.
            if whole and not self._retired:
                self._idle.append(connection)
            else:
                await _close(connection, self._greeted)

    async def _take(self) -> AbstractConnection:
        """The connection used last that is still open, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                if not await connection.can_read():
                    return connection
            except (RedisError, OSError):
                pass
            await _close(connection, self._greeted)
        return self._make()


def packed(commands: Sequence[Command]) -> bytes:
    """Commands as Redis reads them; redis-py's own packing takes several times as long."""
    pieces = []
    for command in commands:
        pieces.append(b"*%d\r\n" % len(command))
        for argument in command:
            raw = argument if isinstance(argument, bytes) else str(argument).encode()
            pieces.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(pieces)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def _close(connection: AbstractConnection, greeted: set[AbstractConnection]) -> None:
    greeted.discard(connection)
    with anyio.CancelScope(shield=True):
        await connection.disconnect(nowait=True)
