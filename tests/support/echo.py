"""A network that repeats itself: requests arrive a second time, late, behind newer ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.abc

from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Changes, Document, Origin, Outcome, Record, Write

MAX_DELAY_S = 0.3


class EchoStore:
    """Passes everything on to a store, and some writes with an `Origin` once more, later.

    What a network may do with any request whose sender gave up on it, done at the sender.

    Args:
        store: the one that does it.
        dice: when.
        share: of the writes that are repeated.
        tasks: where the repetitions wait.

    Attributes:
        echoes: how many requests were sent once more, by verb.
    """

    def __init__(
        self, store: ContextStore, dice: random.Random, share: float, tasks: anyio.abc.TaskGroup
    ) -> None:
        self._store = store
        self._dice = dice
        self._share = share
        self._tasks = tasks
        self.echoes: Counter[str] = Counter()

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        async def call() -> Record:
            return await self._store.save(
                record_id, data, expected_version, writer=writer, ttl_s=ttl_s, origin=origin
            )

        self._perhaps_again("save", call, origin is not None)
        return await call()

    async def load(self, record_id: str) -> Record:
        return await self._store.load(record_id)

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        async def call() -> Record:
            return await self._store.delete(
                record_id, expected_version, writer=writer, origin=origin
            )

        self._perhaps_again("delete", call, origin is not None)
        return await call()

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        async def call() -> list[Outcome]:
            return await self._store.apply(writes)

        self._perhaps_again("apply", call, all(write.origin is not None for write in writes))
        return await call()

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        return await self._store.changes(prefix, since, limit)

    async def ping(self) -> None:
        await self._store.ping()

    async def close(self) -> None:
        await self._store.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _perhaps_again(self, verb: str, call: Callable[[], Awaitable[Any]], harmless: bool) -> None:
        if harmless and self._dice.random() < self._share:
            self.echoes[verb] += 1
            self._tasks.start_soon(self._again, call, self._dice.uniform(0, MAX_DELAY_S))

    async def _again(self, call: Callable[[], Awaitable[Any]], delay_s: float) -> None:
        await anyio.sleep(delay_s)
        with suppress(SecondlookError):
            await call()


@asynccontextmanager
async def echoing(
    store: ContextStore, dice: random.Random, share: float
) -> AsyncIterator[EchoStore]:
    """A store whose writes echo; at the end, echoes that still wait are forgotten."""
    async with anyio.create_task_group() as tasks:
        yield EchoStore(store, dice, share, tasks)
        tasks.cancel_scope.cancel()
