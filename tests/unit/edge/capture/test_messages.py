from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.capture import messages
from secondlook.edge.capture.header import MAX_TRUTH, Counts, FrameHeader, Truth
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.protocol import SourceInfo, SourceOptions, UnusableSource
from secondlook.shared.errors import (
    InvalidConfig,
    InvalidInput,
    MissingDependency,
    SecondlookError,
    SourceError,
)
from secondlook.shared.values import Detections

COUNTS = Counts(4, 5, 6_000_000_000)
HEADER = FrameHeader(3, 2, 640, 384, 12345678901, 1.25, 99.5, 0.015625, COUNTS)
INFO = SourceInfo(640, 384, 29.97, None, live=True, backend="PyAV")


def view(message: bytes) -> memoryview:
    return memoryview(message)


def truth(n: int) -> tuple[Detections, np.ndarray]:
    boxes = np.sort(np.random.default_rng(n).random((n, 2, 2)), axis=1).reshape(n, 4) * 100
    detections = Detections.of(
        boxes, np.linspace(0, 1, n), np.arange(n) % 2, ("car", "bus"), np.arange(n) + 7
    )
    return detections, np.arange(n) % 3 == 0


def test_an_order_survives_the_wire() -> None:
    order = Order(
        url="rtsp://me:söme%20thing@cam/1",
        factory="a:b",
        options=SourceOptions(fps=5.0, rtsp_transport="udp"),
        analysis_fps=3.0,
        realtime=False,
        speed=2.5,
        overflow="block",
        loop=True,
        slots=9,
        skip=4,
        sequence=17,
        media_offset_s=2.5,
    )
    assert Order.decode(order.encode()) == order


@pytest.mark.parametrize("n", [0, 1, 250])
def test_a_frame_survives_the_wire_with_its_truth(n: int) -> None:
    detections, ignore = truth(n)
    message = messages.frame(HEADER, Truth.of(detections, ignore))
    assert len(message) < messages.MAX_MESSAGE
    header, came = messages.parse_frame(view(message))
    assert header == HEADER
    assert came is not None
    back = came.detections(detections.names)
    for name in ("boxes", "scores", "classes", "track_ids"):
        assert np.array_equal(getattr(back, name), getattr(detections, name)), name
        assert getattr(back, name).dtype == getattr(detections, name).dtype
    assert np.array_equal(came.ignore, ignore)


def test_a_frame_without_truth() -> None:
    assert messages.parse_frame(view(messages.frame(HEADER, None))) == (HEADER, None)


def test_truth_does_not_alias_the_message_buffer() -> None:
    detections, ignore = truth(3)
    buffer = bytearray(messages.frame(HEADER, Truth.of(detections, ignore)))
    _, came = messages.parse_frame(memoryview(buffer))
    assert came is not None
    buffer[:] = b"\xff" * len(buffer)
    assert np.array_equal(came.boxes, detections.boxes)


def test_too_much_truth_is_cut_and_still_fits() -> None:
    detections, ignore = truth(MAX_TRUTH + 50)
    message = messages.frame(HEADER, Truth.of(detections, ignore))
    assert len(message) < messages.MAX_MESSAGE
    _, came = messages.parse_frame(view(message))
    assert came is not None
    assert len(came.scores) == MAX_TRUTH


def test_the_small_messages_survive_the_wire() -> None:
    assert messages.parse_release(messages.release(4, 3)) == (4, 3)
    assert messages.parse_ring(view(messages.ring(1, 6, 737280))) == (1, 6, 737280)
    assert messages.parse_quiet(view(messages.quiet(2.5, COUNTS))) == (2.5, COUNTS)
    assert messages.parse_looped(view(messages.looped(40, 4.0))) == (40, 4.0)
    assert messages.parse_names(view(messages.names(("a", "b")))) == ("a", "b")
    assert messages.parse_opened(view(messages.opened(INFO, "block"))) == (INFO, "block")


@pytest.mark.parametrize(("said", "heard"), [(math.nan, 0.0), (-5.0, 0.0), (1e12, 3600.0)])
def test_silence_is_bounded(said: float, heard: float) -> None:
    assert messages.parse_quiet(view(messages.quiet(said, COUNTS)))[0] == heard


@pytest.mark.parametrize(
    "error",
    [
        SourceError("gone", remedy="look"),
        UnusableSource("never"),
        InvalidInput("wrong"),
        MissingDependency("PyAV", "edge"),
    ],
)
def test_errors_keep_their_class_and_words(error: SecondlookError) -> None:
    back = messages.parse_failed(view(messages.failed(error)))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.retriable == error.retriable


def test_a_subclass_becomes_its_nearest_known_class() -> None:
    back = messages.parse_failed(view(messages.failed(InvalidConfig("field x"))))
    assert type(back) is InvalidInput


def test_an_endless_error_text_is_cut() -> None:
    assert len(messages.failed(SourceError("x" * 10**7))) < messages.MAX_MESSAGE


@pytest.mark.parametrize(
    ("width", "height"), [(0, 10), (10, 0), (60000, 60000), (16385, 1), (2**32 - 1, 2**32 - 1)]
)
def test_absurd_sizes_are_refused(width: int, height: int) -> None:
    header = FrameHeader(0, 0, width, height, 0, 0.0, 0.0, 0.0)
    with pytest.raises(SourceError, match="malformed"):
        messages.parse_frame(view(messages.frame(header, None)))


@pytest.mark.parametrize("field", ["media_s", "taken_s"])
def test_times_must_be_finite(field: str) -> None:
    values = {"media_s": 0.0, "taken_s": 0.0, field: math.nan}
    header = FrameHeader(0, 0, 4, 4, 0, values["media_s"], values["taken_s"], 0.0)
    with pytest.raises(SourceError, match="not finite"):
        messages.parse_frame(view(messages.frame(header, None)))


@given(st.binary(max_size=200), st.sampled_from(sorted("FMALNOX")))
def test_garbage_is_refused_with_one_kind_of_error(body: bytes, kind: str) -> None:
    parse = {
        "F": messages.parse_frame,
        "M": messages.parse_ring,
        "A": messages.parse_quiet,
        "L": messages.parse_looped,
        "N": messages.parse_names,
        "O": messages.parse_opened,
        "X": messages.parse_failed,
    }[kind]
    message = memoryview(kind.encode() + body)
    with contextlib.suppress(SourceError):  # anything else fails the test
        assert parse(message) is not None


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (messages.parse_names, b'N{"names": 5}'),
        (messages.parse_names, b"N[]"),
        (messages.parse_opened, b"O{}"),
        (messages.parse_opened, messages.opened(INFO, "block").replace(b"640", b'"x"')),
        (messages.parse_opened, messages.opened(INFO, "block").replace(b"640", b"1e999")),
        (messages.parse_failed, b"X\xff"),
    ],
)
def test_wrong_types_are_refused(parse: Callable[..., object], message: bytes) -> None:
    with pytest.raises(SourceError, match="malformed"):
        parse(memoryview(message))


@given(st.integers(0, 200), st.integers(0, 10))
def test_a_cut_frame_is_refused(cut: int, n: int) -> None:
    detections, ignore = truth(n)
    message = messages.frame(HEADER, Truth.of(detections, ignore))
    if cut == 0:
        return
    with pytest.raises(SourceError, match="malformed"):
        messages.parse_frame(memoryview(message[: max(1, len(message) - cut)]))
