"""What agent and capture process say to each other: one datagram each, on a socket pair.

Nothing is pickled: the capture process parses hostile video, so what it says is checked like any
input from outside.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secondlook.edge.capture.header import MAX_TRUTH, Counts, FrameHeader, Truth
from secondlook.edge.capture.protocol import SourceInfo, SourceOptions, UnusableSource
from secondlook.edge.capture.timeline import plausible_fps
from secondlook.shared.errors import (
    InvalidInput,
    MissingDependency,
    SecondlookError,
    SourceError,
)
from secondlook.shared.values.frame import check_size

MAX_MESSAGE = 192 * 1024
"""Largest datagram; below the kernel's default for a socket pair."""

CREDIT, RELEASE, STOP = b"C", b"R", b"Q"
READY, OPENED, RING, NAMES, FRAME, QUIET, LOOPED, ENDED, FAILED = (bytes([c]) for c in b"YOMNFALEX")

_RELEASE = struct.Struct("<cIH")
_RING = struct.Struct("<cIHQ")
_FRAME = struct.Struct("<cIHIIQddfQQQ?H")
_QUIET = struct.Struct("<cdQQQ")
_LOOPED = struct.Struct("<cQd")


@dataclass(frozen=True, slots=True)
class Order:
    """What a capture process is told to do; the first message it gets.

    Attributes:
        url: the camera, with its password: it travels here and not on the command line.
        factory: ``module:function`` that makes the source from the URL.
        options: see `SourceOptions`.
        analysis_fps: see `Sampler`.
        realtime: whether a recording plays at its own rate.
        speed: factor on that rate.
        overflow: "drop_oldest", "block", or "" for the one that fits the source.
        loop: whether a recording starts again at its end.
        slots: slots of the ring.
        skip: frames to pass over, since an earlier process has delivered them.
        sequence: number of the first frame after those.
        media_offset_s: media time at which this stream, or this pass of a loop, begins.
    """

    url: str
    factory: str
    options: SourceOptions
    analysis_fps: float = 0.0
    realtime: bool = True
    speed: float = 1.0
    overflow: str = ""
    loop: bool = False
    slots: int = 6
    skip: int = 0
    sequence: int = 0
    media_offset_s: float = 0.0

    def encode(self) -> bytes:
        """As a message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, message: bytes) -> Order:
        """From a message of the agent, which is trusted."""
        fields = json.loads(message)
        return cls(**{**fields, "options": SourceOptions(**fields["options"])})


def release(generation: int, slot: int) -> bytes:
    """The agent gives a slot back."""
    return _RELEASE.pack(RELEASE, generation, slot)


def parse_release(message: bytes) -> tuple[int, int]:
    """Generation and slot."""
    _, generation, slot = _RELEASE.unpack(message)
    return generation, slot


def ring(generation: int, slots: int, slot_bytes: int) -> bytes:
    """A new ring; its descriptor goes with the message."""
    return _RING.pack(RING, generation, slots, slot_bytes)


def parse_ring(message: memoryview) -> tuple[int, int, int]:
    """Generation, slots, bytes of a slot."""
    _, generation, slots, slot_bytes = _unpack(_RING, message)
    return generation, slots, slot_bytes


def quiet(seconds: float, counts: Counts) -> bytes:
    """The source lives, though no frame may come for so long; what was counted so far."""
    return _QUIET.pack(QUIET, seconds, counts.dropped, counts.skipped, counts.copied)


def parse_quiet(message: memoryview) -> tuple[float, Counts]:
    """Seconds, 0 to 3600, and counts."""
    _, seconds, *counts = _unpack(_QUIET, message)
    bounded = min(max(seconds, 0.0), 3600.0) if seconds == seconds else 0.0
    return bounded, Counts(*counts)


def looped(sequence: int, media_s: float) -> bytes:
    """The recording starts again: the next frame's number, and the media time of its beginning."""
    return _LOOPED.pack(LOOPED, sequence, media_s)


def parse_looped(message: memoryview) -> tuple[int, float]:
    """Number of the next frame, media time at which it begins, seconds."""
    _, sequence, media_s = _unpack(_LOOPED, message)
    return sequence, media_s


def frame(header: FrameHeader, truth: Truth | None) -> bytes:
    """A slot with a frame is handed over."""
    packed = _FRAME.pack(
        FRAME,
        header.generation,
        header.slot,
        header.width,
        header.height,
        header.sequence,
        header.media_s,
        header.taken_s,
        header.decode_s,
        header.counts.dropped,
        header.counts.skipped,
        header.counts.copied,
        truth is not None,
        len(truth.scores) if truth else 0,
    )
    if truth is None:
        return packed
    columns = (truth.boxes, truth.scores, truth.classes, truth.track_ids, truth.ignore)
    return packed + b"".join(column.tobytes() for column in columns)


def parse_frame(message: memoryview) -> tuple[FrameHeader, Truth | None]:
    """Header and truth.

    Raises:
        SourceError: the message is malformed.
    """
    _, *numbers, has_truth, n = _unpack(_FRAME, message[: _FRAME.size])
    *facts, dropped, skipped, copied = numbers
    header = FrameHeader(*(*facts, Counts(dropped, skipped, copied)))
    try:
        check_size(header.width, header.height, "frame")
    except InvalidInput as error:
        raise SourceError(f"malformed message of the capture process: {error}") from None
    if not (np.isfinite(header.media_s) and np.isfinite(header.taken_s)):
        raise SourceError("malformed message of the capture process: a time is not finite")
    if not has_truth:
        return header, None
    rest = message[_FRAME.size :]
    if n > MAX_TRUTH or len(rest) != n * (16 + 4 + 4 + 8 + 1):
        raise SourceError("malformed message of the capture process: truth of the wrong length")

    def column(dtype: Any, start: int, width: int = 1) -> Any:
        # Copied, since the message buffer is used again for the next message.
        return np.frombuffer(rest, dtype, n * width, n * start).copy()

    return header, Truth(
        column(np.float32, 0, 4).reshape(n, 4),
        column(np.float32, 16),
        column(np.int32, 20),
        column(np.int64, 24),
        column(np.bool_, 32),
    )


def opened(info: SourceInfo, overflow: str) -> bytes:
    """The source is open; ``overflow`` is the policy in force."""
    return OPENED + json.dumps({**asdict(info), "overflow": overflow}).encode()


def parse_opened(message: memoryview) -> tuple[SourceInfo, str]:
    """What the source is, and the overflow policy."""
    fields = _json(message)
    try:
        frames = fields["frames"]
        info = SourceInfo(
            width=int(fields["width"]),
            height=int(fields["height"]),
            fps=plausible_fps(float(fields["fps"])),
            frames=None if frames is None else int(frames),
            live=bool(fields["live"]),
            backend=str(fields["backend"])[:100],
        )
        return info, str(fields["overflow"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"malformed message of the capture process: {error!r}") from None


def names(class_names: tuple[str, ...]) -> bytes:
    """Class names of the truth that follows."""
    return NAMES + json.dumps({"names": class_names}).encode()


def parse_names(message: memoryview) -> tuple[str, ...]:
    """Class names."""
    listed = _json(message).get("names")
    if not isinstance(listed, list):
        raise SourceError("malformed message of the capture process: names are not a list")
    return tuple(str(name) for name in listed)


_ERRORS: dict[str, type[InvalidInput | SourceError]] = {
    kind.__name__: kind for kind in (InvalidInput, SourceError, UnusableSource)
}
_MISSING = MissingDependency.__name__


def failed(error: SecondlookError) -> bytes:
    """The source cannot go on."""
    known = (kind.__name__ for kind in type(error).__mro__)
    fields = {
        "kind": next((name for name in known if name in {*_ERRORS, _MISSING}), ""),
        "message": error.message[:4000],
        "remedy": error.remedy[:1000],
        "extra": getattr(error, "extra", ""),
    }
    return FAILED + json.dumps(fields).encode()


def parse_failed(message: memoryview) -> SecondlookError:
    """The error, as one of ours."""
    fields = {name: str(value) for name, value in _json(message).items()}
    text, remedy = fields.get("message", ""), fields.get("remedy", "")
    kind = fields.get("kind", "")
    if kind == _MISSING:
        what = text.removesuffix(" is not installed")
        return MissingDependency(what, fields.get("extra", "edge"))
    return _ERRORS.get(kind, SourceError)(text, remedy=remedy)


def _unpack(layout: struct.Struct, message: memoryview) -> tuple[Any, ...]:
    try:
        return layout.unpack(message)
    except struct.error as error:
        raise SourceError(f"malformed message of the capture process: {error}") from None


def _json(message: memoryview) -> dict[str, Any]:
    try:
        fields = json.loads(bytes(message[1:]))
    except ValueError as error:
        raise SourceError(f"malformed message of the capture process: {error}") from None
    if not isinstance(fields, dict):
        raise SourceError("malformed message of the capture process: an object is expected")
    return fields
