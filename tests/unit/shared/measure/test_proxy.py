"""The proxy passes every byte, counts it once, and does the harm it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import grpc
import pytest
from support.proxy import FaultProxy, fault_proxy

from secondlook.shared.measure import CountingProxy, Direction, Traffic

pytestmark = pytest.mark.anyio

BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError)


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Sends back what it gets, with an exclamation mark; gives its port."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                async for data in stream:
                    await stream.send(data + b"!")
            except BROKEN:
                pass

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def faulty_echo() -> AsyncIterator[FaultProxy]:
    async with echo_server() as port, fault_proxy(port) as proxy:
        yield proxy


async def ask(stream: anyio.abc.SocketStream, data: bytes) -> bytes:
    await stream.send(data)
    answer = b""
    while not answer.endswith(b"!"):
        answer += await stream.receive()
    return answer


async def listen(stream: anyio.abc.SocketStream) -> None:
    while True:
        await stream.receive()


async def test_every_byte_passes_and_is_counted_once() -> None:
    blob = bytes(range(256)) * 2000
    async with echo_server() as port, CountingProxy("127.0.0.1", port).running() as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            await stream.send(blob)
            await stream.send_eof()
            answer = b"".join([piece async for piece in stream])
        assert answer.replace(b"!", b"") == blob.replace(b"!", b"")
        assert proxy.traffic.up == len(blob)
        assert proxy.traffic.down == len(answer)
        assert proxy.traffic.connections == 1


async def test_two_snapshots_tell_what_passed_between() -> None:
    async with faulty_echo() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        await ask(stream, b"first")
        before = proxy.traffic
        await ask(stream, b"second")
        assert proxy.traffic - before == Traffic(up=6, down=7)


async def test_grpc_setup_is_counted_apart_from_the_first_request() -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("T", {"M": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with CountingProxy("127.0.0.1", port).running() as proxy:
        async with grpc.aio.insecure_channel(proxy.target) as channel:
            await channel.channel_ready()
            idle = proxy.traffic
            assert idle.setup_up > 24  # at least the preface
            assert idle.up == 0
            call = channel.unary_unary("/T/M")
            await call(b"x" * 10_000)
            asked = proxy.traffic - idle
        assert 10_000 < asked.up < 10_800
        assert 10_000 < asked.down < 10_800
        assert proxy.traffic.setup_down > 0
    await server.stop(None)


async def _echo(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return request


async def test_a_dead_server_closes_the_client() -> None:
    async with echo_server() as port:
        pass
    async with (
        CountingProxy("127.0.0.1", port).running() as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        with pytest.raises(BROKEN):
            await stream.receive()
        assert proxy.traffic == Traffic()


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with CountingProxy("127.0.0.1", 1).running():
            raise KeyError("mine")


async def test_redirect_sends_new_connections_to_another_server() -> None:
    async with echo_server() as old, echo_server() as new, fault_proxy(old) as proxy:
        proxy.redirect("127.0.0.1", new)
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"there") == b"there!"


async def test_cut_breaks_open_connections_and_takes_new_ones() -> None:
    async with faulty_echo() as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            await ask(stream, b"before")
            await proxy.cut()
            with pytest.raises(BROKEN):
                await ask(stream, b"after")
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"again") == b"again!"


async def test_cut_after_lets_exactly_so_many_bytes_pass() -> None:
    async with faulty_echo() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        proxy.cut_after(Direction.UP, 7)
        await stream.send(b"x" * 100)
        with pytest.raises(BROKEN):
            await listen(stream)
        assert proxy.traffic.up == 7


async def test_corrupt_next_flips_one_piece_only() -> None:
    async with faulty_echo() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        proxy.corrupt_next(Direction.UP)
        assert await ask(stream, b"\x00\xff") == b"\xff\x00!"
        assert await ask(stream, b"\x00\xff") == b"\x00\xff!"


async def test_a_stall_holds_back_until_resumed() -> None:
    async with faulty_echo() as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        await ask(stream, b"flows")
        before = proxy.traffic
        proxy.stall()
        await stream.send(b"held")
        await anyio.wait_all_tasks_blocked()
        assert proxy.traffic == before
        proxy.resume()
        assert await ask(stream, b"") == b"held!"


async def test_refuse_closes_new_connections_and_counts_them() -> None:
    async with faulty_echo() as proxy:
        proxy.refuse()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            with pytest.raises(BROKEN):
                await stream.receive()
        assert proxy.refused == 1
        proxy.accept()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await ask(stream, b"hi") == b"hi!"


async def test_delay_and_throttle_still_pass_everything() -> None:
    async with echo_server() as port:
        proxy = FaultProxy("127.0.0.1", port, delay_s=0.001, bytes_per_s=1e7)
        async with (
            proxy.running(),
            await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
        ):
            assert await ask(stream, b"y" * 5000) == b"y" * 5000 + b"!"
