"""Records to bytes and back: a byte for the kind, then what that kind is made of.

A frame is binary, a picture is the encoded picture itself, all other records are JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from secondlook.edge.decisions.frame_packing import Head, frame_head, pack_frame, unpack_frame
from secondlook.edge.decisions.plain import (
    VERSION,
    from_json,
    read_header,
    read_sent,
    read_verdict,
    read_way,
    to_json,
)
from secondlook.edge.decisions.records import (
    FrameRecord,
    LogHeader,
    PictureRecord,
    Record,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.shared.errors import InvalidInput

_HEADER, _FRAME, _SENT, _WAY, _VERDICT, _PICTURE = range(6)
_PICTURE_HEAD = struct.Struct("<QB")
_KINDS = ("thumbnail", "sent")

_READERS: dict[int, Callable[[dict[str, Any]], Record | LogHeader]] = {
    _HEADER: read_header,
    _SENT: read_sent,
    _WAY: read_way,
    _VERDICT: read_verdict,
}


def pack(record: Record | LogHeader, names: tuple[str, ...] = ()) -> bytes:
    """A record as bytes.

    Args:
        record: what to write.
        names: class names in the header of the file.

    Raises:
        InvalidInput: it has more candidates than a record takes.
    """
    if isinstance(record, FrameRecord):
        return bytes([_FRAME]) + pack_frame(record, names)
    if isinstance(record, PictureRecord):
        assert isinstance(record.data, bytes)
        head = _PICTURE_HEAD.pack(record.sequence, _KINDS.index(record.kind))
        return bytes([_PICTURE]) + head + record.data
    if isinstance(record, LogHeader):
        return bytes([_HEADER]) + to_json({"version": VERSION, **asdict(record)})
    kind = {SentRecord: _SENT, WayRecord: _WAY, VerdictRecord: _VERDICT}[type(record)]
    return bytes([kind]) + to_json(asdict(record))


def head_of(data: bytes) -> Head | None:
    """The head of a frame's record; ``None`` of any other record."""
    return frame_head(data, 1) if data[:1] == bytes([_FRAME]) else None


def unpack(data: bytes, header: LogHeader | None) -> Record | LogHeader | None:
    """A record from bytes; ``None`` where it is of a kind that this version does not know.

    Args:
        data: what `pack` gave.
        header: of its file; ``None`` for the header itself.

    Raises:
        InvalidInput: it is not as `pack` writes it.
    """
    if not data:
        raise InvalidInput("a record is empty")
    kind, body = data[0], data[1:]
    try:
        if kind == _FRAME:
            return unpack_frame(body, header)
        if kind == _PICTURE:
            sequence, which = _PICTURE_HEAD.unpack_from(body)
            return PictureRecord(sequence, _KINDS[which], body[_PICTURE_HEAD.size :])
        reader = _READERS.get(kind)
        return None if reader is None else reader(from_json(body))
    except InvalidInput:
        raise
    except (struct.error, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise InvalidInput(f"a record is not understood: {type(error).__name__} {error}") from None
