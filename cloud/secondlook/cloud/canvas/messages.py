"""What the service and a decoding process say to each other, over a stream socket.

Nothing is pickled: the decoding process reads hostile video, so what it says is checked like any
input from outside.
"""

from __future__ import annotations

import socket
import struct

from secondlook.shared.errors import InvalidInput, StateLost
from secondlook.shared.values import CanvasUpdate
from secondlook.shared.values.canvas import MAX_CANVAS_PX, VideoCodec

MAX_TEXT_BYTES = 512

DECODE, FORGET = b"D", b"F"
PICTURE, LOST, INVALID = b"P", b"L", b"I"

_CODECS = {VideoCodec.H264: b"H", VideoCodec.AV1: b"A"}
_CODEC_OF = {letter: codec for codec, letter in _CODECS.items()}

_ORDER = struct.Struct("<cQcHHI?I")
_REPLY = struct.Struct("<cI")


class PeerGone(Exception):
    """The other end has closed the socket, or has broken the rules."""


def order(kind: bytes, canvas: int, update: CanvasUpdate | None = None, unit: bytes = b"") -> bytes:
    """Tell a decoding process what to do with a canvas."""
    if update is None:
        return _ORDER.pack(kind, canvas, b"-", 0, 0, 0, False, 0)
    said = update.width, update.height, update.check, update.key
    return _ORDER.pack(kind, canvas, _CODECS[update.codec], *said, len(unit)) + unit


def read_order(peer: socket.socket) -> tuple[bytes, int, CanvasUpdate | None, bytes]:
    """The next order: its kind, the canvas, the update and its unit.

    Raises:
        PeerGone: the service has ended.
    """
    head = _ORDER.unpack(_read(peer, _ORDER.size))
    kind, canvas, codec, width, height, check, key, size = head
    if kind != DECODE:
        return kind, canvas, None, b""
    update = CanvasUpdate(width, height, check, key, codec=_CODEC_OF[codec])
    return kind, canvas, update, bytes(_read(peer, size))


def reply(kind: bytes, size: int) -> bytes:
    """The head of a reply, before so many bytes of pixels or text."""
    return _REPLY.pack(kind, size)


def read_picture(peer: socket.socket, update: CanvasUpdate) -> bytearray:
    """The pixels of a decoded canvas, BGR, row by row.

    Raises:
        StateLost, InvalidInput: what the decoder said.
        PeerGone: the decoding process has ended or talks nonsense.
        TimeoutError: it does not answer.
    """
    kind, size = _REPLY.unpack(_read(peer, _REPLY.size))
    if kind == PICTURE:
        if size != 3 * update.width * update.height or size > 3 * MAX_CANVAS_PX**2:
            raise PeerGone(f"a picture of {size} bytes")
        return _read(peer, size)
    if kind not in (LOST, INVALID) or size > MAX_TEXT_BYTES:
        raise PeerGone("a reply that means nothing")
    text = _read(peer, size).decode(errors="replace")
    raise (StateLost if kind == LOST else InvalidInput)(text)


def _read(peer: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        got = peer.recv_into(view[done:])
        if not got:
            raise PeerGone("the socket is closed")
        done += got
    return data
