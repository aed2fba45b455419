"""The server that holds the namespace now: found, asked, and looked for again when it moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from redis.exceptions import (
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
)

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.redis.connections import Command, Connections
from secondlook.shared.memory.redis.locating import Locator
from secondlook.shared.memory.redis.scripts import Script

_ELSEWHERE = (ReadOnlyError, MovedError, ClusterDownError)


class Master:
    """Sends commands to the master, and says `StoreError` in whatever way it fails.

    Nothing is sent twice but what a server refused to do: a script it does not know, or keys that
    another server holds.

    Args:
        locator: finds the master.
        shown: the URL without its password, for messages.
        timeout_s: longest wait for the master to be found.
    """

    def __init__(self, locator: Locator, shown: str, timeout_s: float) -> None:
        self._locator = locator
        self._shown = shown
        self._timeout_s = timeout_s
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

        Args:
            script: what to run.
            keys: all it touches.
            arguments: its other arguments.
            after: sent with it, on the same connection.
            wait_s: how long these may take on purpose.

        Returns:
            The reply of the script and those of the commands.

        Raises:
            StoreError: see `ask`.
        """
        tail = (len(keys), *keys, *arguments)
        commands: list[Command] = [("EVALSHA", script.sha, *tail), *after]
        replies = await self._exchange(commands, wait_s)
        if isinstance(replies[0], NoScriptError):
            commands[0] = ("EVAL", script.text, *tail)
            replies = await self._exchange(commands, wait_s)
        return self._checked(replies)

    async def ask(self, *commands: Command) -> list[Any]:
        """The reply to each command, in one round trip. They only read.

        Raises:
            StoreError: Redis cannot be reached, or refused one of them.
        """
        return self._checked(await self._exchange(commands, 0.0))

    async def try_ask(self, *commands: Command) -> list[Any]:
        """As `ask`; what Redis refused is ``None`` in the list."""
        replies = await self._exchange(commands, 0.0)
        return [None if isinstance(reply, RedisError) else reply for reply in replies]

    async def close(self) -> None:
        """Close all connections. Safe to repeat."""
        self._closed = True
        await self._forget(self._found)

    async def _exchange(self, commands: Sequence[Command], wait_s: float) -> list[Any]:
        replies, moved = await self._attempt(commands, wait_s)
        if moved:
            # The keys are elsewhere and nothing was done here; we were told where.
            replies, _ = await self._attempt(commands, wait_s)
        return replies

    async def _attempt(self, commands: Sequence[Command], wait_s: float) -> tuple[list[Any], bool]:
        """The replies, and whether the master has changed and is known already."""
        if self._closed:
            raise StoreError("the context memory is closed")
        found = self._found
        try:
            if found is None:
                with anyio.fail_after(self._timeout_s):
                    found = await self._look()
            replies = await found.exchange(commands, wait_s)
        except TimeoutError as error:
            await self._forget(found)
            raise StoreError(f"context memory {self._shown}: no answer in time") from error
        except (RedisError, OSError) as error:
            await self._forget(found)
            raise StoreError(f"context memory {self._shown}: {error}") from error
        if not any(isinstance(reply, _ELSEWHERE) for reply in replies):
            return replies, False
        named = next((reply for reply in replies if isinstance(reply, MovedError)), None)
        there = None if named is None else self._locator.moved((named.host, named.port))
        await self._forget(found, there)
        return replies, there is not None

    async def _look(self) -> Connections:
        async with self._finding:
            if self._found is None:
                self._found = await self._locator.find()
            return self._found

    async def _forget(self, found: Connections | None, there: Connections | None = None) -> None:
        """Look for the master again next time, unless it is ``there``."""
        if found is not None:
            if self._found is found:
                self._found = there
            await found.retire()

    def _checked(self, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if isinstance(reply, MovedError):
                raise StoreError(
                    f"context memory {self._shown}: its keys are on another node of a Cluster",
                    remedy="memory.url: redis+cluster://HOST:PORT,HOST:PORT",
                ) from reply
            if isinstance(reply, RedisError):
                raise StoreError(f"context memory {self._shown}: {reply}") from reply
        return replies
