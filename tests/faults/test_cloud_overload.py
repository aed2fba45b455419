"""More work than the service takes on: refused at once, and what was accepted is still answered."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio.lowlevel
import anyio.to_thread
import grpc
import grpc.aio
import pytest
from support.cloud import FakeDetector, escalation_stub, fake_cloud, picture, whole_frame
from support.waiting import eventually

from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

FRAME = picture(64, 48, (10, 20, 30, 40))


def ask(stub: Any, request_id: str) -> Any:
    return stub.Escalate(request_to_proto(whole_frame(FRAME, request_id)), timeout=30)


async def outcome(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_flood_is_refused_and_the_accepted_are_answered() -> None:
    detector = FakeDetector(max_batch=4)
    async with fake_cloud(detector, server={"max_concurrent": 8}) as (_, channel):
        stub = escalation_stub(channel)
        detector.hold()
        flood = [asyncio.ensure_future(outcome(ask(stub, f"r{n}"))) for n in range(100)]
        # The refused are told while the device is still busy with the first.
        await eventually(lambda: sum(call.done() for call in flood) == 92)
        assert {call.result() for call in flood if call.done()} == {
            grpc.StatusCode.RESOURCE_EXHAUSTED
        }
        detector.release()
        results = await asyncio.gather(*flood)
        assert results.count(grpc.StatusCode.OK) == 8
        assert await outcome(ask(stub, "after")) is grpc.StatusCode.OK


async def test_a_full_queue_of_the_model_refuses_too() -> None:
    detector = FakeDetector(max_batch=1)
    async with fake_cloud(detector, batcher={"max_queue": 3}) as (_, channel):
        stub = escalation_stub(channel)
        detector.hold()
        first = asyncio.ensure_future(outcome(ask(stub, "first")))
        await anyio.to_thread.run_sync(detector.wait_entered)
        flood = [asyncio.ensure_future(outcome(ask(stub, f"r{n}"))) for n in range(20)]
        await eventually(lambda: sum(call.done() for call in flood) == 17)
        detector.release()
        results = await asyncio.gather(first, *flood)
    assert results.count(grpc.StatusCode.OK) == 4
    assert results.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 17


async def test_clients_that_leave_make_room() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector, server={"max_concurrent": 4}) as (cloud, channel):
        stub = escalation_stub(channel)
        detector.hold()
        leaving = [ask(stub, f"r{n}") for n in range(4)]
        await eventually(lambda: cloud.judge.in_flight == 4)
        assert await outcome(ask(stub, "refused")) is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in leaving:
            call.cancel()
        await eventually(lambda: cloud.judge.in_flight == 0)
        staying = asyncio.ensure_future(outcome(ask(stub, "staying")))
        await eventually(lambda: cloud.judge.in_flight == 1)
        detector.release()
        assert await staying is grpc.StatusCode.OK


async def test_draining_finishes_the_accepted_and_refuses_the_rest() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, channel):
        stub = escalation_stub(channel)
        detector.hold()
        accepted = asyncio.ensure_future(outcome(ask(stub, "accepted")))
        await anyio.to_thread.run_sync(detector.wait_entered)
        draining = asyncio.ensure_future(cloud.engine.drain())
        await anyio.lowlevel.checkpoint()
        assert await outcome(ask(stub, "late")) is grpc.StatusCode.UNAVAILABLE
        detector.release()
        assert await accepted is grpc.StatusCode.OK
        await draining
