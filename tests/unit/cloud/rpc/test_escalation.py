"""The `Escalation` service over a real loopback connection, with a detector that is a fake."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.to_thread
import grpc
import grpc.aio
import pytest
from support.cloud import (
    FakeDetector,
    channel_to,
    escalation_stub,
    fake_cloud,
    one_region,
    picture,
    settings,
    whole_frame,
)
from support.waiting import eventually

from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import RunningCloud, running_cloud
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.values import Region
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytestmark = pytest.mark.anyio

FRAME = picture(320, 240, (10, 20, 50, 60))


def asked(request_id: str = "r1", **fields: Any) -> pb.EscalateRequest:
    return request_to_proto(whole_frame(FRAME, request_id, **fields))


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


async def test_escalate_answers_with_a_verdict() -> None:
    escalation = whole_frame(FRAME)
    async with fake_cloud() as (_, channel):
        reply = await escalation_stub(channel).Escalate(request_to_proto(escalation), timeout=10)
    verdict = verdict_from_proto(reply, escalation)
    assert verdict.detections.boxes.tolist() == [[10, 20, 50, 60]]
    assert verdict.detections.class_names() == ["car"]
    assert (verdict.model, verdict.version) == ("fake", "1")
    assert verdict.timings.total_s > 0


async def test_a_second_model_is_asked_by_name() -> None:
    detectors = FakeDetector("first"), FakeDetector("second")
    async with fake_cloud(*detectors) as (_, channel):
        reply = await escalation_stub(channel).Escalate(asked(model="second"), timeout=10)
    assert reply.model == "second"
    assert detectors[0].batches == []


async def test_the_same_request_id_gets_an_equal_verdict() -> None:
    async with fake_cloud() as (_, channel):
        stub = escalation_stub(channel)
        replies = [await stub.Escalate(asked(), timeout=10) for _ in range(3)]
    assert replies[0].detections == replies[1].detections == replies[2].detections


async def test_the_deadline_of_the_call_is_the_deadline_of_the_work() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, channel):
        stub = escalation_stub(channel)
        detector.hold()
        running = stub.Escalate(asked("running"), timeout=30)
        await anyio.to_thread.run_sync(detector.wait_entered)
        code, _ = await status_of(stub.Escalate(asked("late"), timeout=0.05))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        # The service counts from the arrival, so it may notice a moment after the client.
        await eventually(lambda: cloud.judge.in_flight == 1)
        detector.release()
        await running
        await stub.Escalate(asked("next"), timeout=10)
    # The late one was never run.
    assert detector.batches == [1, 1]


async def test_useful_for_may_end_before_the_deadline() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (_, channel):
        stub = escalation_stub(channel)
        detector.hold()
        code, text = await status_of(stub.Escalate(asked(useful_for_s=0.05), timeout=30))
        detector.release()
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "useful" in text


async def test_a_client_that_leaves_takes_its_work_along() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, channel):
        stub = escalation_stub(channel)
        detector.hold()
        first = stub.Escalate(asked("first"), timeout=30)
        await anyio.to_thread.run_sync(detector.wait_entered)
        leaving = stub.Escalate(asked("leaving"), timeout=30)
        staying = stub.Escalate(asked("staying"), timeout=30)
        await waiting(cloud, 2)
        leaving.cancel()
        await waiting(cloud, 1)
        detector.release()
        await first
        await staying
    assert detector.batches == [1, 1]


async def waiting(cloud: RunningCloud, count: int) -> None:
    """Until so many requests wait for the model."""
    engine = cloud.engine
    assert isinstance(engine, LocalEngine)
    await eventually(lambda: engine.waiting("fake") == count)


async def test_unexpected_errors_leak_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Leaky(FakeDetector):
        def detect(self, *_: Any) -> Any:
            raise RuntimeError("secret path /etc/shadow")

    async with fake_cloud(Leaky()) as (_, channel):
        code, text = await status_of(escalation_stub(channel).Escalate(asked(), timeout=10))
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in text
    incident = text.rpartition(" ")[2]
    logged = capsys.readouterr()
    assert incident in logged.out + logged.err
    assert "secret path" in logged.out + logged.err


async def test_a_session_answers_each_request_under_its_index() -> None:
    async with fake_cloud() as (_, channel):
        session = escalation_stub(channel).Session()
        for index in range(1, 6):
            await session.write(pb.SessionRequest(index=index, mosaic=asked(f"r{index}")))
        await session.done_writing()
        replies = {reply.index: reply async for reply in session}
        assert await session.code() is grpc.StatusCode.OK
    assert sorted(replies) == [1, 2, 3, 4, 5]
    assert all(reply.status == pb.SESSION_STATUS_OK for reply in replies.values())
    assert [replies[i].verdict.request_id for i in range(1, 6)] == [f"r{i}" for i in range(1, 6)]


async def test_replies_of_a_session_may_overtake() -> None:
    slow, fast = FakeDetector("slow"), FakeDetector("fast")
    async with fake_cloud(slow, fast) as (_, channel):
        slow.hold()
        session = escalation_stub(channel).Session()
        await session.write(pb.SessionRequest(index=1, mosaic=asked("a", model="slow")))
        await session.write(pb.SessionRequest(index=2, mosaic=asked("b", model="fast")))
        assert (await session.read()).index == 2
        slow.release()
        assert (await session.read()).index == 1
        await session.done_writing()


async def test_a_bad_request_of_a_session_fails_alone() -> None:
    bad_image = asked("bad")
    bad_image.image = b"garbage"
    async with fake_cloud() as (_, channel):
        session = escalation_stub(channel).Session()
        for index, request in enumerate(
            [
                pb.SessionRequest(),
                pb.SessionRequest(mosaic=bad_image),
                pb.SessionRequest(mosaic=asked(model="nobody")),
                pb.SessionRequest(mosaic=asked("good")),
            ],
            start=1,
        ):
            request.index = index
            await session.write(request)
        await session.done_writing()
        replies = {reply.index: reply async for reply in session}
    assert [replies[i].status for i in (1, 2, 3)] == [pb.SESSION_STATUS_ERROR] * 3
    assert [replies[i].error.code for i in (1, 2, 3)] == [3, 3, 5]
    assert "carrier" in replies[1].error.message
    assert "not a png" in replies[2].error.message
    assert "nobody" in replies[3].error.message
    assert replies[4].status == pb.SESSION_STATUS_OK


async def test_a_session_that_its_client_cancels_hurts_no_other() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, channel):
        stub = escalation_stub(channel)
        detector.hold()
        running = stub.Escalate(asked("running"), timeout=30)
        await anyio.to_thread.run_sync(detector.wait_entered)
        session = stub.Session()
        for index in (1, 2, 3):
            await session.write(pb.SessionRequest(index=index, mosaic=asked(f"s{index}")))
        await waiting(cloud, 3)
        session.cancel()
        await waiting(cloud, 0)
        detector.release()
        await running
        reply = await stub.Escalate(asked("after"), timeout=10)
    assert reply.request_id == "after"


async def test_more_requests_than_places_are_all_answered() -> None:
    async with fake_cloud() as (_, channel):
        session = escalation_stub(channel).Session()

        async def write() -> None:
            for index in range(1, 101):
                await session.write(pb.SessionRequest(index=index, mosaic=asked(f"r{index}")))
            await session.done_writing()

        writing = asyncio.ensure_future(write())
        indices = [reply.index async for reply in session]
        await writing
    assert sorted(indices) == list(range(1, 101))


async def test_draining_answers_what_a_session_has_asked_then_ends_it() -> None:
    detector = FakeDetector()
    async with AsyncExitStack() as client:
        async with running_cloud(settings(), load=lambda _: [Loaded(detector)]) as cloud:
            channel = await client.enter_async_context(channel_to(cloud.port))
            detector.hold()
            session = escalation_stub(channel).Session()
            await session.write(pb.SessionRequest(index=1, mosaic=asked()))
            await anyio.to_thread.run_sync(detector.wait_entered)
            # Leaving the block drains; the model is let go only once that has begun.
            asyncio.get_running_loop().call_later(0.05, detector.release)
        answered = await session.read()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await session.read()
    assert (answered.index, answered.status) == (1, pb.SESSION_STATUS_OK)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "draining" in (error.value.details() or "")


async def test_regions_are_composed_on_the_last_frame() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (_, channel):
        stub = escalation_stub(channel)
        await stub.Escalate(asked("whole"), timeout=10)
        region = one_region(picture(320, 240, (100, 100, 120, 120)), Region(96, 96, 32, 32))
        reply = await stub.Escalate(request_to_proto(region), timeout=10)
    # The fake sees one box around all green: car of the background and car of the region.
    assert detector.seen[-1][30, 30].tolist() == [0, 255, 0]
    assert list(reply.detections.scores) == []
