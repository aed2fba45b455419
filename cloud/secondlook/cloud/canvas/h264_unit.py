"""What an access unit of H.264 says of itself, read from its bytes before a decoder sees it.

A few bytes of H.264 can ask for gigabytes: sixteen reference pictures of 16384 x 16384. So the
sequence header is read here, and all that the canvas encoder does not write is refused.
"""

from __future__ import annotations

import re

from secondlook.cloud.canvas.bits import Bits
from secondlook.shared.errors import InvalidInput

MAX_UNITS = 64
"""Most NAL units in an access unit; an encoder of ours gives 3 for a key frame, else 1."""

MAX_REFERENCES = 4
"""Most reference pictures; what a decoder holds in memory is bounded by them."""

_START = re.compile(rb"\x00\x00\x01")
_SLICE, _KEY_SLICE, _SEQUENCE, _PICTURE = 1, 5, 7, 8
_HIGH = (100,)
"""Profiles whose header has the fields of High; Baseline and Main are without them."""
_PLAIN = (66, 77)


def check_unit(unit: bytes, *, key: bool, width: int, height: int) -> None:
    """Refuse an access unit that is not what it should be.

    Args:
        unit: Annex B bytes.
        key: whether it is to be a key frame.
        width, height: the size of its picture, pixels.

    Raises:
        InvalidInput: it is of another kind or size, or malformed.
    """
    kinds = []
    for payload in _payloads(unit):
        kind = payload[0] & 0x1F
        if kind == _SEQUENCE:
            found = _size(_unescaped(payload[1:]))
            if found != (width, height):
                raise InvalidInput(
                    f"unit is of {found[0]}x{found[1]} pixels; {width}x{height} expected"
                )
        kinds.append(kind)
    expected = [_SEQUENCE, _PICTURE, _KEY_SLICE] if key else [_SLICE]
    # Several slices make one picture as well.
    if kinds[: len(expected)] != expected or set(kinds[len(expected) :]) - {expected[-1]}:
        raise InvalidInput(
            f"unit has parts of kinds {kinds[:8]}; {expected} expected of "
            f"{'a key frame' if key else 'an update'}"
        )


def _payloads(unit: bytes) -> list[bytes]:
    starts = [match.end() for match in _START.finditer(unit)]
    if not starts or unit[: starts[0]].strip(b"\x00") != b"\x01":
        raise InvalidInput("unit is not H.264")
    if len(starts) > MAX_UNITS:
        raise InvalidInput(f"unit has {len(starts)} parts; at most {MAX_UNITS} are accepted")
    ends = [start - 3 for start in starts[1:]] + [len(unit)]
    payloads = [unit[start:end] for start, end in zip(starts, ends, strict=True)]
    if any(not payload for payload in payloads):
        raise InvalidInput("unit has an empty part")
    return payloads


def _unescaped(payload: bytes) -> bytes:
    return payload.replace(b"\x00\x00\x03", b"\x00\x00")


def _size(header: bytes) -> tuple[int, int]:
    """Width and height after cropping, of a sequence header (ITU-T H.264, 7.3.2.1.1)."""
    bits = Bits(header)
    profile = bits.take(8)
    bits.take(16)  # constraints and level: the size says more
    bits.golomb()
    if profile in _HIGH:
        chroma, luma_depth, chroma_depth = bits.golomb(), bits.golomb(), bits.golomb()
        bits.take(1)
        if (chroma, luma_depth, chroma_depth) != (1, 0, 0) or bits.take(1):
            raise InvalidInput("unit is not 4:2:0 of 8 bits without matrices of its own")
    elif profile not in _PLAIN:
        raise InvalidInput(f"unit is of profile {profile}; Baseline, Main or High expected")
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order != 2:
        raise InvalidInput(f"unit orders its pictures by method {order}; 0 or 2 expected")
    references = bits.golomb()
    if references > MAX_REFERENCES:
        raise InvalidInput(
            f"unit wants {references} reference pictures; at most {MAX_REFERENCES} are accepted"
        )
    bits.take(1)
    across, down = bits.golomb() + 1, bits.golomb() + 1
    if not bits.take(1):
        raise InvalidInput("unit is interlaced")
    bits.take(1)
    left = right = top = bottom = 0
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
    return across * 16 - 2 * (left + right), down * 16 - 2 * (top + bottom)
