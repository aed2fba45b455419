"""Where connection set-up ends, however the stream is cut into pieces."""

from __future__ import annotations

import pytest

from secondlook.shared.measure import Direction, SetupScanner, Traffic
from secondlook.shared.measure.traffic import PREFACE


def frame(kind: int, payload: bytes = b"", stream: int = 0) -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


SETUP = frame(4, b"s" * 18) + frame(8, b"w" * 4) + frame(6, b"p" * 8)
REQUEST = frame(1, b"h" * 120, 1) + frame(0, b"d" * 500, 1) + frame(4)


@pytest.mark.parametrize("piece", [1, 5, 9, 24, 4096])
def test_all_before_the_first_headers_is_setup(piece: int) -> None:
    stream = PREFACE + SETUP + REQUEST
    scanner = SetupScanner(Direction.UP)
    for at in range(0, len(stream), piece):
        scanner.feed(stream[at : at + piece])
    assert scanner.setup_bytes == len(PREFACE + SETUP)


def test_a_server_has_no_preface() -> None:
    scanner = SetupScanner(Direction.DOWN)
    scanner.feed(SETUP + REQUEST)
    assert scanner.setup_bytes == len(SETUP)


@pytest.mark.parametrize(
    "stream", [b"\x16\x03\x01" + b"t" * 500, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 100]
)
@pytest.mark.parametrize("direction", list(Direction))
def test_what_is_not_plain_http2_has_no_setup(stream: bytes, direction: Direction) -> None:
    scanner = SetupScanner(direction)
    scanner.feed(stream)
    assert scanner.setup_bytes == 0


def test_an_unfinished_header_is_not_yet_setup() -> None:
    scanner = SetupScanner(Direction.DOWN)
    scanner.feed(frame(4)[:8])
    assert scanner.setup_bytes == 0
    scanner.feed(b"\x00")
    assert scanner.setup_bytes == 9


def test_traffic_adds_and_subtracts() -> None:
    a, b = Traffic(5, 6, 7, 8, 1), Traffic(1, 2, 3, 4, 1)
    assert a + b == Traffic(6, 8, 10, 12, 2)
    assert a + b - b == a
