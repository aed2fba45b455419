"""Bytes between the tiers, with the cost of setting a connection up told apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 client sends first (RFC 9113, 3.4)."""

_FRAME_HEADER_BYTES = 9
_HEADERS_FRAME = 1
_SETTINGS_FRAME = 4


class Direction(str, Enum):
    """Which way bytes travel."""

    UP = "up"
    """From the client (the edge) to the server (the cloud)."""

    DOWN = "down"
    """Back."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """TCP payload that passed, bytes; TCP/IP headers are not in it.

    Attributes:
        up: from client to server: messages, HTTP/2 framing, headers, acknowledgements, retries.
        down: the same, back.
        setup_up: from client to server before the first request of a connection (the HTTP/2
            preface and SETTINGS); not contained in ``up``.
        setup_down: the same, back.
        connections: connections that were opened.
    """

    up: int = 0
    down: int = 0
    setup_up: int = 0
    setup_down: int = 0
    connections: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.up + other.up,
            self.down + other.down,
            self.setup_up + other.setup_up,
            self.setup_down + other.setup_down,
            self.connections + other.connections,
        )

    def __sub__(self, earlier: Traffic) -> Traffic:
        """What passed since ``earlier``."""
        return Traffic(
            self.up - earlier.up,
            self.down - earlier.down,
            self.setup_up - earlier.setup_up,
            self.setup_down - earlier.setup_down,
            self.connections - earlier.connections,
        )


class SetupScanner:
    """Finds, in one direction of a connection, where set-up ends and the first request begins.

    Set-up is everything before the first HEADERS frame: preface, SETTINGS, WINDOW_UPDATE, PING.
    What is not plain HTTP/2 (TLS, HTTP/1) has no set-up that could be told apart: all of it counts.

    Attributes:
        setup_bytes: how many of the bytes fed so far are set-up.
    """

    def __init__(self, direction: Direction) -> None:
        self.setup_bytes = 0
        self._preface = PREFACE if direction is Direction.UP else b""
        self._seen = b""  # an unfinished preface or frame header: not yet known to be set-up
        self._skip = 0  # bytes left of the payload of a set-up frame
        self._first_frame = True
        self._done = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream, in pieces of any size."""
        place = 0
        while place < len(data) and not self._done:
            if self._skip:
                step = min(self._skip, len(data) - place)
                self._skip -= step
                self.setup_bytes += step
                place += step
                continue
            wanted = (len(self._preface) or _FRAME_HEADER_BYTES) - len(self._seen)
            self._seen += data[place : place + wanted]
            place += wanted
            if place <= len(data):
                self._read(self._seen)
                self._seen = b""

    def _read(self, seen: bytes) -> None:
        """A whole preface or frame header."""
        if self._preface:
            self._done = seen != self._preface
            self._preface = b""
        else:
            kind = seen[3]
            self._done = kind == _HEADERS_FRAME or (self._first_frame and kind != _SETTINGS_FRAME)
            self._first_frame = False
            self._skip = int.from_bytes(seen[:3], "big")
        if not self._done:
            self.setup_bytes += len(seen)
