"""Hostile video: what a decoder makes of it hurts nobody else, and the next stream is answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canvas import Asker, scene
from support.cloud import FakeDetector, escalation_stub, fake_cloud
from unit.cloud.canvas.test_decoder import updates

from secondlook.cloud.canvas.process import DecoderProcess
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput, StateLost
from secondlook.shared.values import CanvasUpdate, Region
from secondlook.shared.values.canvas import chained

MADE = updates(4)
OF_BOTH = {"h264": MADE, "av1": updates(4, codec="av1")}
REGION = (Region(64, 64, 96, 64),)


class Bench:
    """A real decoding process, and what it has been through."""

    def __init__(self) -> None:
        self.ended = 0
        self.process = DecoderProcess(5.0, self._count)

    def _count(self) -> None:
        self.ended += 1


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.process.close()


def mutated(unit: bytes, seed: int, flips: int, cut: int) -> bytes:
    """Some bytes changed behind the start codes, the end cut off."""
    draw, data = random.Random(seed), bytearray(unit)
    for _ in range(flips):
        data[draw.randrange(5, len(data))] = draw.randrange(256)
    return bytes(data[: max(6, len(data) - cut)])


@settings(max_examples=150)
@given(
    st.sampled_from(["h264", "av1"]),
    st.integers(0, 3),
    st.integers(0, 2**31),
    st.integers(0, 12),
    st.integers(0, 40),
)
def test_mutated_units_are_refused_or_decoded_and_the_process_lives(
    bench: Bench, codec: str, number: int, seed: int, flips: int, cut: int
) -> None:
    before, made = 0, OF_BOTH[codec]
    for update, unit in made[:number]:
        bench.process.decode(1, update, unit).result()
        before = update.check
    update, unit = made[number]
    spoilt = mutated(unit, seed, flips, cut)
    # A hostile edge computes its checks well.
    said = replace(update, check=chained(spoilt, before))
    try:
        picture, _ = bench.process.decode(1, said, spoilt).result()
        assert picture.shape == (240, 320, 3)
    except InvalidInput:
        with pytest.raises(StateLost):
            bench.process.decode(1, *made[1]).result()
    assert bench.ended == 0
    picture, _ = bench.process.decode(2, *MADE[0]).result()
    assert picture.shape == (240, 320, 3)


def spoil_size(request: pb.SessionRequest) -> None:
    request.canvas.opening.canvas_size.width = 4000
    request.canvas.opening.canvas_size.height = 3000


def spoil(**fields: Any) -> Any:
    def change(request: pb.SessionRequest) -> None:
        for name, value in fields.items():
            setattr(request.canvas, name, value)
        request.canvas.check = chained(request.canvas.unit, 0)

    return change


def opening(**fields: Any) -> Any:
    def change(request: pb.SessionRequest) -> None:
        for name, value in fields.items():
            setattr(request.canvas.opening, name, value)

    return change


def no_opening(request: pb.SessionRequest) -> None:
    request.canvas.ClearField("opening")


HOSTILE = {
    "an absurd canvas": (spoil_size, "pixels are accepted"),
    "an empty unit": (spoil(unit=b""), "image is empty"),
    "garbage": (spoil(unit=b"garbage" * 99), "not H.264"),
    "a thousand parts": (spoil(unit=b"\x00\x00\x01\x65\x88" * 1000), "parts"),
    "a truncated unit": (spoil(unit=MADE[0][1][:-40]), "unit"),
    "an update that says it is a key frame": (spoil(unit=MADE[1][1]), "key frame"),
    "half a rectangle": (spoil(rectangles=b"abc"), "rectangles"),
    "AV1 that is H.264": (opening(codec=pb.CANVAS_CODEC_AV1), "not AV1"),
    "rectangles of a key frame": (spoil(rectangles=bytes([0, 0, 1, 1])), "whole canvas"),
    "too many rectangles": (spoil(rectangles=bytes(4) * 300), "rectangles"),
    "no opening": (no_opening, "nothing is known"),
    "no camera": (opening(camera=""), "camera"),
    "a camera of control characters": (opening(camera="\x1b[2J"), "camera"),
    "an unknown codec": (opening(codec=9), "codec"),
    "an absurd score": (opening(min_score=float("nan")), "min_score"),
    "a sequence beyond all frames": (spoil(frame_sequence=2**64 - 1), "frame_sequence"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_updates_are_refused_with_the_field_named(name: str) -> None:
    change, expected = HOSTILE[name]
    detector, image = FakeDetector(), scene(320, 240)
    async with fake_cloud(detector) as (_, channel):
        stub = escalation_stub(channel)
        session = stub.Session()
        request = Asker(320, 240).request(image)
        change(request)
        await session.write(request)
        reply = await session.read()
        assert reply.status == pb.SESSION_STATUS_NEED_KEYFRAME
        assert expected in reply.error.message
        assert len(reply.error.message) < 500
        assert detector.seen == []
        # The stream itself goes on, with a good key frame.
        good = Asker(320, 240)
        good.index = 1
        await session.write(good.request(image))
        assert (await session.read()).status == pb.SESSION_STATUS_OK
        session.cancel()


@pytest.mark.anyio
async def test_an_update_of_rectangles_outside_the_canvas_is_refused() -> None:
    async with fake_cloud() as (_, channel):
        session, asker = escalation_stub(channel).Session(), Asker(320, 240)
        await session.write(asker.request(scene(320, 240)))
        assert (await session.read()).status == pb.SESSION_STATUS_OK
        request = asker.request(scene(320, 240), REGION)
        request.canvas.rectangles = bytes([250, 250, 9, 9])
        await session.write(request)
        reply = await session.read()
        assert reply.status == pb.SESSION_STATUS_NEED_KEYFRAME
        assert "leaves the canvas" in reply.error.message
        session.cancel()


@pytest.mark.anyio
async def test_an_update_has_no_meaning_outside_a_session() -> None:
    async with fake_cloud() as (_, channel):
        request = pb.EscalateRequest(request_id="r", camera="c", encoding=4, image=b"x")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await escalation_stub(channel).Escalate(request, timeout=10)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_orders_of_many_threads_never_mix(bench: Bench) -> None:
    def play(canvas: int) -> list[int]:
        return [
            bench.process.decode(canvas, update, unit).result()[0].shape[0] for update, unit in MADE
        ]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(play, range(10, 30))) == [[240] * 4] * 20


def test_a_reply_that_means_nothing_ends_the_process() -> None:
    bench = Bench()
    update = CanvasUpdate(320, 240, MADE[0][0].check, True)
    bench.process.decode(1, update, MADE[0][1]).result()
    # A process that was taken over says what it likes: a size that was not asked for.
    wrong = CanvasUpdate(16, 16, MADE[0][0].check, True)
    peer = bench.process._peer
    assert peer is not None
    import struct

    class Liar:
        def settimeout(self, seconds: float) -> None: ...

        def sendall(self, data: bytes) -> None: ...

        def close(self) -> None:
            peer.close()

        said = bytearray(struct.pack("<cI", b"P", 2**31))

        def recv_into(self, view: memoryview) -> int:
            size = min(len(view), len(self.said))
            view[:size] = self.said[:size]
            del self.said[:size]
            return size

    bench.process._peer = Liar()  # type: ignore[assignment]
    with pytest.raises(StateLost, match="ended"):
        bench.process.decode(1, wrong, MADE[0][1]).result()
    assert bench.ended == 1
    assert bench.process.pid is None
    bench.process.decode(1, update, MADE[0][1]).result()
    bench.process.close()
