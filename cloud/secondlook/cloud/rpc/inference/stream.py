"""Many questions over one stream: a bounded number in progress, each answered by itself.

A stream keeps its workers: a task for each request would cost a good part of what the stream saves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import anyio

from secondlook.shared.errors import InvalidInput, Unavailable

MAX_IN_PROGRESS = 64
"""Requests of one stream that are worked on at once; further ones wait in gRPC's flow control."""

Q = TypeVar("Q")
A = TypeVar("A")


class Stream(Generic[Q, A]):
    """Answers the requests of one stream side by side; answers go out as they are ready.

    Args:
        answer: answers one request; it raises nothing but cancellation.
        write: sends an answer.
        reading: what reading happens in; it may end it by `Unavailable`.
        max_in_progress: most requests that are worked on at once.
    """

    def __init__(
        self,
        answer: Callable[[Q], Awaitable[A]],
        write: Callable[[A], Awaitable[None]],
        reading: Callable[[], AbstractContextManager[None]],
        max_in_progress: int = MAX_IN_PROGRESS,
    ) -> None:
        self._answer = answer
        self._write = write
        self._reading = reading
        self._max_in_progress = max_in_progress
        self._given: asyncio.Queue[Q | None] = asyncio.Queue(1)
        self._writing = asyncio.Lock()
        self._workers = 0
        # Workers that wait, less requests that wait: counted when a request is given, not when it
        # is taken, so that the next one does not count on the same worker.
        self._idle = 0

    async def run(self, requests: AsyncIterator[Q]) -> None:
        """Answer until there are no more.

        Raises:
            Unavailable, InvalidInput: reading ended early, by a drain or by bytes that are no
                message; what was read before is answered.
        """
        ended: Unavailable | InvalidInput | None = None
        async with anyio.create_task_group() as tasks:
            try:
                with self._reading():
                    async for request in requests:
                        if self._idle <= 0 and self._workers < self._max_in_progress:
                            self._workers += 1
                            self._idle += 1
                            tasks.start_soon(self._work)
                        self._idle -= 1
                        # No worker free, no reading: gRPC's flow control holds the sender back.
                        await self._given.put(request)
            except (Unavailable, InvalidInput) as error:
                ended = error
            for _ in range(self._workers):
                await self._given.put(None)
        if ended is not None:
            raise ended

    async def _work(self) -> None:
        while True:
            request = await self._given.get()
            if request is None:
                return
            answer = await self._answer(request)
            async with self._writing:
                await self._write(answer)
            self._idle += 1
