"""Saves through the memory service against a bare gRPC echo plus a bare round trip to Redis."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc.aio

from secondlook.cli.bench.memory.callers import Load, Prepare, Request, compare
from secondlook.cli.bench.memory.documents import document, record_id
from secondlook.cli.bench.memory.redis_saves import bare_redis
from secondlook.cli.bench.memory.saves import saves
from secondlook.cli.bench.memory.server import ECHO
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import Unavailable
from secondlook.shared.memory.record import encode
from secondlook.shared.memory.remote import RemoteStore


async def remote_saves(
    redis_url: str, ports: tuple[int, int], callers: int, seconds: float, rounds: int
) -> dict[str, Load]:
    """Loads of ``remote``, ``echo`` and ``redis``; ``ports`` are those of `running_server`."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{ports[0]}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports[1]}") as echo_channel,
        bare_redis(redis_url, f"bench-remote-{callers}") as redis,
    ):
        store = RemoteStore(channel)
        systems = {"remote": saves(store), "echo": _echo(echo_channel), "redis": redis}
        return await compare(systems, callers, seconds, rounds)


def _echo(channel: grpc.aio.Channel) -> Prepare:
    """Callers whose request, as long as that of a save, comes back as it is."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)

    async def prepare(callers: int) -> list[Request]:
        def one(number: int) -> Request:
            message = pb.SaveRequest(
                id=record_id(number), data=encode(document(number)), writer="bench"
            ).SerializeToString()

            async def echo() -> None:
                await call(message)

            return echo

        return [one(number) for number in range(callers)]

    return prepare


@contextmanager
def running_server(redis_url: str) -> Iterator[tuple[int, int]]:
    """Run `secondlook.cli.bench.memory.server`; yields the ports of service and echo."""
    process = subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-m", "secondlook.cli.bench.memory.server", redis_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            word, *ports = line.split()
            if word == "ports":
                yield int(ports[0]), int(ports[1])
                return
        raise Unavailable("the server of the benchmark did not start")
    finally:
        process.kill()
        process.communicate()
