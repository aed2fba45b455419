"""Bad connections: garbage, cuts, corruption, a client too slow; others never notice."""

from __future__ import annotations

import contextlib

import anyio
import grpc
import grpc.aio
import numpy as np
import pytest
from support.cloud import (
    FakeDetector,
    channel_to,
    escalation_stub,
    fake_cloud,
    picture,
    whole_frame,
)
from support.proxy import fault_proxy

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.measure import Direction
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

NOISE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


def request(request_id: str, image: np.ndarray = NOISE) -> pb.EscalateRequest:
    return request_to_proto(whole_frame(image, request_id))


async def serves(port: int) -> None:
    """A good client gets its verdict."""
    async with channel_to(port) as channel:
        reply = await escalation_stub(channel).Escalate(request("good"), timeout=10)
    assert reply.request_id == "good"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 4096,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        np.random.default_rng(1).bytes(100_000),
        b"",
    ],
    ids=["zeros", "http1", "broken-http2", "random", "nothing"],
)
async def test_garbage_on_the_port(garbage: bytes) -> None:
    async with fake_cloud() as (cloud, _):
        for _ in range(5):
            with contextlib.suppress(anyio.BrokenResourceError):
                async with await anyio.connect_tcp("127.0.0.1", cloud.port) as stream:
                    await stream.send(garbage)
        await serves(cloud.port)


async def test_a_request_cut_in_its_middle() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, _), fault_proxy(cloud.port) as proxy:
        async with channel_to(proxy.port) as channel:
            proxy.cut_after(Direction.UP, 100_000)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await escalation_stub(channel).Escalate(request("cut"), timeout=10)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert detector.batches == []
        await serves(cloud.port)


async def test_a_corrupted_request() -> None:
    async with fake_cloud() as (cloud, _), fault_proxy(cloud.port) as proxy:
        async with channel_to(proxy.port) as channel:
            stub = escalation_stub(channel)
            await stub.Escalate(request("first"), timeout=10)
            proxy.corrupt_next(Direction.UP)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.Escalate(request("corrupted"), timeout=2)
        assert error.value.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.INTERNAL,
        )
        await serves(cloud.port)


async def test_a_slow_client_holds_nobody_up() -> None:
    detector = FakeDetector()
    async with (
        fake_cloud(detector) as (cloud, _),
        fault_proxy(cloud.port) as proxy,
        channel_to(proxy.port) as channel,
    ):
        stub = escalation_stub(channel)
        await stub.Escalate(request("first", picture(64, 48)), timeout=10)
        proxy.stall()
        slow = stub.Escalate(request("slow"), timeout=30)
        for _ in range(5):
            await serves(cloud.port)
        proxy.resume()
        assert (await slow).request_id == "slow"


async def test_a_client_that_never_reads_its_session() -> None:
    async with fake_cloud() as (cloud, channel):
        session = escalation_stub(channel).Session()
        small = picture(64, 48)
        for index in range(1, 60):
            await session.write(pb.SessionRequest(index=index, mosaic=request("s", small)))
        for _ in range(3):
            await serves(cloud.port)
        session.cancel()
