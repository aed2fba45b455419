"""Callers that ask without pause, over plain calls or over one stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import grpc.aio

from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import Unavailable

UNARY = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
CALLERS_OF_A_CHANNEL = 4

Ask = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Turn:
    """What callers saw in one turn.

    Attributes:
        seconds: of each request.
        took_s: how long the turn was, seconds.
        cpu_s: processor time that the server used meanwhile, seconds.
        each_cpu_s: of that, each of its processes.
    """

    seconds: list[float]
    took_s: float
    cpu_s: float
    each_cpu_s: tuple[float, ...] = ()

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.took_s

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server for a request, milliseconds."""
        return 1000 * self.cpu_s / len(self.seconds)


@asynccontextmanager
async def unary_callers(port: int, request: bytes, callers: int) -> AsyncIterator[Sequence[Ask]]:
    """Callers that make a call for each request; four share a connection."""
    async with AsyncExitStack() as stack:
        asks: list[Ask] = []
        for first in range(0, callers, CALLERS_OF_A_CHANNEL):
            channel = await stack.enter_async_context(_channel(port))
            call: Any = channel.unary_unary(UNARY)
            members = min(CALLERS_OF_A_CHANNEL, callers - first)
            asks += [lambda call=call: call(request)] * members  # type: ignore[misc]
        yield asks


@asynccontextmanager
async def stream_callers(port: int, request: bytes, callers: int) -> AsyncIterator[Sequence[Ask]]:
    """Callers that share one stream; each waits for a reply before it asks again.

    Which of several equal requests a reply belongs to does not matter here.
    """
    async with _channel(port) as channel:
        call: Any = channel.stream_stream(
            STREAM, response_deserializer=pb.ModelStreamInferResponse.FromString
        )()
        waiting: list[asyncio.Future[None]] = []
        writing = asyncio.Lock()

        async def ask() -> None:
            answered = asyncio.get_running_loop().create_future()
            async with writing:
                waiting.append(answered)
                await call.write(request)
            await answered

        async def read() -> None:
            async for reply in call:
                if reply.error_message:
                    raise Unavailable(reply.error_message)
                waiting.pop(0).set_result(None)

        reader = asyncio.create_task(read())
        try:
            yield [ask] * callers
        finally:
            reader.cancel()
            call.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def turn(asks: Sequence[Ask], seconds: float, spent_s: Callable[[], Sequence[float]]) -> Turn:
    """Let all callers ask for that long.

    Args:
        asks: one for each caller.
        seconds: for how long.
        spent_s: processor time that each process of the server has used so far, seconds.
    """
    took: list[float] = []
    clock = time.perf_counter
    # It reads files of the system.
    before = await anyio.to_thread.run_sync(spent_s)
    began_s = clock()
    end_s = began_s + seconds

    async def caller(ask: Ask) -> None:
        now_s = clock()
        while now_s < end_s:
            await ask()
            then_s, now_s = now_s, clock()
            took.append(now_s - then_s)

    await asyncio.gather(*(caller(ask) for ask in asks))
    took_s = clock() - began_s
    after = await anyio.to_thread.run_sync(spent_s)
    each = tuple(late - early for late, early in zip(after, before, strict=True))
    return Turn(took, took_s, sum(each), each)


def _channel(port: int) -> grpc.aio.Channel:
    # A connection of its own: channels to one address share one otherwise.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
