"""The server that holds the namespace now: found, asked, and looked for again when it moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
)

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.redis.connections import Command, Connections
from secondlook.shared.memory.redis.scripts import Script

Find = Callable[[], Awaitable[Connections]]
"""Looks for the server that holds the namespace."""


class Master:
    """Sends commands to the master, and says `StoreError` in whatever way it fails.

    Nothing is sent twice, but what a server refused to do: a script it does not know, or keys that
    another server holds.

    Args:
        find: looks for the master.
        shown: the URL without its password, for messages.
    """

    def __init__(self, find: Find, shown: str) -> None:
        self._find = find
        self._shown = shown
        self._finding = anyio.Lock()
        self._found: Connections | None = None
        self._closed = False

    async def script(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
        *after: Command,
        wait_s: float = 0.0,
    ) -> list[Any]:
        """Run a script, then the commands ``after``, in one round trip; two for a new script.

        Returns:
            The reply of the script and those of the commands.

        Raises:
            StoreError: see `ask`.
        """
        tail = (len(keys), *keys, *arguments)
        commands = [("EVALSHA", script.sha, *tail), *after]
        replies = await self._exchange(commands, wait_s)
        if isinstance(replies[0], NoScriptError):
            commands[0] = ("EVAL", script.text, *tail)
            replies = await self._exchange(commands, wait_s)
        return self._checked(replies)

    async def ask(self, *commands: Command) -> list[Any]:
        """The reply to each command, in one round trip.

        Raises:
            StoreError: Redis cannot be reached, or refused one of them; which of them were done is
                unknown.
        """
        return self._checked(await self._exchange(commands, 0.0))

    async def close(self) -> None:
        """Close all connections. Safe to repeat."""
        self._closed = True
        await self._forget(self._found)

    async def _exchange(self, commands: Sequence[Command], wait_s: float) -> list[Any]:
        if self._closed:
            raise StoreError("the context memory is closed")
        found = self._found
        try:
            if found is None:
                found = await self._look()
            replies = await found.exchange(commands, wait_s)
        except TimeoutError as error:
            await self._forget(found)
            raise StoreError(f"context memory {self._shown}: no answer in time") from error
        except (RedisError, OSError) as error:
            await self._forget(found)
            raise StoreError(f"context memory {self._shown}: {error}") from error
        if any(isinstance(reply, _ELSEWHERE) for reply in replies):
            await self._forget(found)
        return replies

    async def _look(self) -> Connections:
        async with self._finding:
            if self._found is None:
                self._found = await self._find()
            return self._found

    async def _forget(self, found: Connections | None) -> None:
        """Look for the master again, next time."""
        if found is not None:
            if self._found is found:
                self._found = None
            await found.retire()

    def _checked(self, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if isinstance(reply, RedisError):
                raise StoreError(f"context memory {self._shown}: {reply}") from reply
        return replies


_ELSEWHERE = (ReadOnlyError, MovedError, AskError, ClusterDownError)
