"""Hostile requests: each gets a clear status, and the next good request its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from support.cloud import FakeDetector, encoded, escalation_stub, fake_cloud, picture, whole_frame
from unit.cloud.picture.test_header import png_that_says

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.values import ImageEncoding
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FRAME = picture(320, 240, (10, 20, 50, 60))

Spoil = Callable[[pb.EscalateRequest], None]


def good(request_id: str = "good") -> pb.EscalateRequest:
    return request_to_proto(whole_frame(FRAME, request_id))


def setting(**fields: Any) -> Spoil:
    def spoil(request: pb.EscalateRequest) -> None:
        for name, value in fields.items():
            setattr(request, name, value)

    return spoil


def regions(count: int, **fields: int) -> Spoil:
    def spoil(request: pb.EscalateRequest) -> None:
        del request.regions[:]
        for _ in range(count):
            request.regions.add(**{"width": 4, "height": 4, **fields})

    return spoil


def frame_size(width: int, height: int) -> Spoil:
    def spoil(request: pb.EscalateRequest) -> None:
        request.frame_size.width, request.frame_size.height = width, height

    return spoil


def everything(request: pb.EscalateRequest) -> None:
    request.Clear()


HOSTILE: dict[str, tuple[Spoil, str]] = {
    "empty message": (everything, "encoding"),
    "garbage image": (setting(image=b"garbage" * 100), "image"),
    "no image": (setting(image=b""), "image"),
    "random image": (setting(image=np.random.default_rng(0).bytes(5000)), "image"),
    "wrong encoding": (setting(encoding=pb.IMAGE_ENCODING_JPEG), "image is not a jpeg"),
    "no encoding": (setting(encoding=pb.IMAGE_ENCODING_UNSPECIFIED), "encoding"),
    "unknown encoding": (setting(encoding=77), "encoding"),
    "truncated png": (setting(image=encoded(FRAME)[:-20]), "cut short"),
    "truncated jpeg": (
        setting(image=encoded(FRAME, ImageEncoding.JPEG)[:-20], encoding=pb.IMAGE_ENCODING_JPEG),
        "cut short",
    ),
    "60000x60000 png": (setting(image=png_that_says(60000, 60000)), "60000x60000"),
    "8000x7000 png": (setting(image=png_that_says(8000, 7000)), "8000x7000"),
    "0x0 png": (setting(image=png_that_says(0, 0)), "0x0"),
    "zero regions": (regions(0), "regions"),
    "300 regions": (regions(300), "regions"),
    "100000 regions": (regions(100_000), "regions"),
    "region outside the frame": (regions(1, x=318), "leaves the frame"),
    "region far outside the frame": (regions(1, x=2**32 - 1, y=2**32 - 1), "leaves the frame"),
    "region outside the image": (regions(1, image_x=318), "leaves the image"),
    "empty region": (regions(1, width=0), "region"),
    "half an image size": (regions(1, image_width=5), "image_width"),
    "the whole frame 256 times": (regions(256, width=320, height=240), "overlap"),
    "NaN score": (setting(min_score=math.nan), "min_score"),
    "infinite score": (setting(min_score=math.inf), "min_score"),
    "negative score": (setting(min_score=-0.1), "min_score"),
    "absurd frame": (frame_size(2**32 - 1, 2**32 - 1), "frame_size"),
    "empty frame": (frame_size(0, 0), "frame_size"),
    "bomb of a frame": (frame_size(16000, 16000), "pixels"),
    "no request id": (setting(request_id=""), "request_id"),
    "huge request id": (setting(request_id="x" * 100_000), "request_id"),
    "request id of control characters": (setting(request_id="a\r\nb"), "request_id"),
    "request id beyond ascii": (setting(request_id="über"), "request_id"),
    "no camera": (setting(camera=""), "camera"),
    "huge camera": (setting(camera="c" * 100_000), "camera"),
    "camera of control characters": (setting(camera="\x1b[2J"), "camera"),
    "huge model": (setting(model="m" * 100_000), "model"),
    "absurd sequence": (setting(frame_sequence=2**64 - 1), "frame_sequence"),
    "useful for weeks": (setting(useful_for_ms=2**32 - 1), "useful_for"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_requests_are_refused_with_the_field_named(name: str) -> None:
    spoil, expected = HOSTILE[name]
    request = good("bad")
    spoil(request)
    detector = FakeDetector()
    async with fake_cloud(detector) as (_, channel):
        stub = escalation_stub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Escalate(request, timeout=10)
        assert error.value.code() is INVALID
        details = error.value.details() or ""
        assert expected in details
        assert len(details) < 500
        assert detector.batches == []
        assert (await stub.Escalate(good(), timeout=10)).request_id == "good"


async def test_an_unknown_model_is_not_found() -> None:
    async with fake_cloud() as (_, channel):
        request = good("bad")
        request.model = "nobody"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await escalation_stub(channel).Escalate(request, timeout=10)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert "fake" in (error.value.details() or "")


async def test_an_unknown_purpose_is_read_as_unsure() -> None:
    async with fake_cloud() as (_, channel):
        request = good()
        request.purpose = 99
        assert (await escalation_stub(channel).Escalate(request, timeout=10)).request_id == "good"


async def test_a_message_over_the_limit_is_refused() -> None:
    async with fake_cloud(server={"max_message_bytes": 100_000}) as (_, channel):
        stub = escalation_stub(channel)
        request = good("bad")
        request.image = bytes(200_000)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Escalate(request, timeout=10)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.Escalate(good(), timeout=10)).request_id == "good"


async def test_a_body_that_is_no_message_is_refused() -> None:
    async with fake_cloud() as (_, channel):
        raw = channel.unary_unary("/secondlook.rpc.v1.Escalation/Escalate")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await raw(b"\xff" * 100, timeout=10)
        assert error.value.code() is INVALID
        assert error.value.details() == "the request is not a message of this method"
        session = channel.stream_stream("/secondlook.rpc.v1.Escalation/Session")()
        await session.write(b"\xff" * 100)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await session.read()
        assert error.value.code() is INVALID
        assert error.value.details() == "the request is not a message of this method"
        unknown = channel.unary_unary("/secondlook.rpc.v1.Escalation/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await unknown(b"", timeout=10)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        reply = await escalation_stub(channel).Escalate(good(), timeout=10)
    assert reply.request_id == "good"


@pytest.mark.parametrize(
    "metadata",
    [
        (("traceparent", "garbage"),),
        (("traceparent", "00-" + "f" * 32 + "-" + "f" * 16 + "-01"), ("tracestate", "x" * 4000)),
        (("traceparent-bin", b"\x00\xff"),),
    ],
)
async def test_hostile_metadata_changes_nothing(metadata: Any) -> None:
    async with fake_cloud() as (_, channel):
        reply = await escalation_stub(channel).Escalate(good(), timeout=10, metadata=metadata)
    assert reply.request_id == "good"
