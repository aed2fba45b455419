"""Canvas streams of the `Escalation` service over a real loopback connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from support.canvas import Asker
from support.cloud import FakeDetector, escalation_stub, fake_cloud, one_region, picture

from secondlook.cloud.service import RunningCloud
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.values import Purpose, Region
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

CAR = (96, 96, 160, 144)
REGION = Region(96, 80, 96, 80)


@asynccontextmanager
async def streaming(
    detector: FakeDetector | None = None, **tables: Any
) -> AsyncIterator[tuple[RunningCloud, Any, Asker]]:
    async with fake_cloud(detector or FakeDetector(), **tables) as (cloud, channel):
        session = escalation_stub(channel).Session()
        yield cloud, session, Asker(320, 240)
        session.cancel()


async def ask(session: Any, request: pb.SessionRequest) -> pb.SessionResponse:
    await session.write(request)
    reply: pb.SessionResponse = await session.read()
    assert reply is not grpc.aio.EOF
    assert reply.index == request.index
    return reply


async def test_an_update_is_judged_on_the_whole_canvas() -> None:
    detector = FakeDetector()
    async with streaming(detector) as (cloud, session, asker):
        first = await ask(session, asker.request(picture(320, 240)))
        assert first.status == pb.SESSION_STATUS_OK
        assert (first.verdict.model, first.verdict.model_version) == ("fake", "1")
        second = await ask(session, asker.request(picture(320, 240, CAR), (REGION,)))
        assert second.status == pb.SESSION_STATUS_OK
        assert len(cloud.canvases) == 1
    box = list(second.verdict.detections.boxes)
    assert box == pytest.approx(CAR, abs=4)
    # What the edge knows is not said again.
    assert (second.verdict.model, second.verdict.request_id) == ("", "")
    assert detector.seen[-1].shape == (240, 320, 3)


async def test_boxes_come_back_in_native_pixels_and_of_the_regions_only() -> None:
    async with fake_cloud() as (_, channel):
        session = escalation_stub(channel).Session()
        asker = Asker(1280, 960, canonical=640)
        large = picture(1280, 960, (400, 400, 640, 560))
        whole = await ask(session, asker.request(large))
        assert list(whole.verdict.detections.boxes) == pytest.approx((400, 400, 640, 560), abs=8)
        elsewhere = await ask(session, asker.request(large, (Region(1000, 100, 128, 128),)))
        assert elsewhere.status == pb.SESSION_STATUS_OK
        assert list(elsewhere.verdict.detections.scores) == []
        session.cancel()


@pytest.mark.parametrize("gap", ["lost", "doubled", "reordered", "damaged", "truncated"])
async def test_what_does_not_follow_needs_a_key_frame(gap: str) -> None:
    detector = FakeDetector()
    async with streaming(detector) as (_, session, asker):
        image = picture(320, 240, CAR)
        await ask(session, asker.request(image))
        second, third = (asker.request(image, (REGION,)) for _ in range(2))
        if gap == "lost":
            third.index = 2
            wrong = third
        elif gap == "doubled":
            assert (await ask(session, second)).status == pb.SESSION_STATUS_OK
            wrong = second
        elif gap == "reordered":
            wrong = third
        elif gap == "damaged":
            wrong = second
            unit = bytearray(second.canvas.unit)
            unit[len(unit) // 2] ^= 4
            wrong.canvas.unit = bytes(unit)
        else:
            wrong = second
            wrong.canvas.unit = second.canvas.unit[:-3]
        seen = len(detector.seen)
        assert (await ask(session, wrong)).status == pb.SESSION_STATUS_NEED_KEYFRAME
        # All that builds on it is refused too, and the next key frame mends it.
        asker.index = wrong.index
        later = asker.request(image, (REGION,))
        assert (await ask(session, later)).status == pb.SESSION_STATUS_NEED_KEYFRAME
        assert len(detector.seen) == seen
        asker.lost()
        assert (await ask(session, asker.request(image))).status == pb.SESSION_STATUS_OK


async def test_updates_of_another_stream_never_continue_this_one() -> None:
    async with fake_cloud() as (_, channel):
        stub, image = escalation_stub(channel), picture(320, 240, CAR)
        ours, theirs = stub.Session(), stub.Session()
        a, b = Asker(320, 240), Asker(320, 240, camera="other")
        await ask(ours, a.request(image))
        await ask(theirs, b.request(picture(320, 240, level=90)))
        foreign = b.request(image, (REGION,))
        assert (await ask(ours, foreign)).status == pb.SESSION_STATUS_NEED_KEYFRAME
        ours.cancel()
        theirs.cancel()


async def test_the_canvas_used_longest_ago_is_forgotten_first() -> None:
    image = picture(320, 240, CAR)
    async with fake_cloud(canvas={"max_canvases": 2}) as (cloud, channel):
        stub = escalation_stub(channel)
        sessions = [(stub.Session(), Asker(320, 240, camera=f"c{k}")) for k in range(3)]
        for session, asker in sessions:
            assert (await ask(session, asker.request(image))).status == pb.SESSION_STATUS_OK
        assert len(cloud.canvases) == 2
        statuses = [
            (await ask(session, asker.request(image, (REGION,)))).status
            for session, asker in reversed(sessions)
        ]
        assert statuses == [
            pb.SESSION_STATUS_OK,
            pb.SESSION_STATUS_OK,
            pb.SESSION_STATUS_NEED_KEYFRAME,
        ]
        for session, _ in sessions:
            session.cancel()


async def test_a_whole_frame_of_a_canvas_is_the_background_of_mosaics() -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (_, channel):
        stub = escalation_stub(channel)
        session, asker = stub.Session(), Asker(320, 240)
        await ask(session, asker.request(picture(320, 240, level=90)))
        mosaic = one_region(picture(320, 240, CAR), Region(96, 96, 64, 48))
        request = pb.SessionRequest(index=2, mosaic=request_to_proto(mosaic))
        assert (await ask(session, request)).status == pb.SESSION_STATUS_OK
        assert detector.seen[-1][10, 10].tolist() == pytest.approx([90, 90, 90], abs=3)
        # The mosaic has moved the index; the canvas goes on.
        asker.index = 2
        update = asker.request(picture(320, 240, CAR), (REGION,))
        assert (await ask(session, update)).status == pb.SESSION_STATUS_OK
        session.cancel()


async def test_a_failing_model_leaves_the_canvas_as_it_is() -> None:
    detector = FakeDetector()
    async with streaming(detector) as (_, session, asker):
        image = picture(320, 240, CAR)
        await ask(session, asker.request(image))
        detector.broken = True
        failed = await ask(session, asker.request(image, (REGION,), Purpose.AUDIT))
        assert failed.status == pb.SESSION_STATUS_ERROR
        detector.broken = False
        reply = await ask(session, asker.request(image, (REGION,)))
        assert reply.status == pb.SESSION_STATUS_OK
