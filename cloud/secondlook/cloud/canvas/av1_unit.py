"""What a unit of AV1 says of itself, read from its bytes before a decoder sees it.

The sequence header bounds what a decoder holds in memory: eight pictures of its largest size. All
that the canvas encoder does not write is refused.
"""

from __future__ import annotations

from secondlook.cloud.canvas.bits import Bits
from secondlook.shared.errors import InvalidInput

MAX_PARTS = 8
"""Most OBUs in a unit; an encoder of ours gives 2 for a key frame, else 1."""

_SEQUENCE, _FRAME = 1, 6
_MAX_SIZE_BYTES = 4


def check_unit(unit: bytes, *, key: bool, width: int, height: int) -> None:
    """Refuse a unit that is not what it should be.

    Args:
        unit: OBUs with their sizes, one after the other.
        key: whether it is to be a key frame.
        width, height: the size of its picture, pixels.

    Raises:
        InvalidInput: it is of another kind or size, or malformed.
    """
    parts = _parts(unit)
    kinds = [kind for kind, _ in parts]
    expected = [_SEQUENCE, _FRAME] if key else [_FRAME]
    if kinds != expected:
        raise InvalidInput(
            f"unit has parts of kinds {kinds}; {expected} expected of "
            f"{'a key frame' if key else 'an update'}"
        )
    if key:
        found = _size(parts[0][1])
        if found != (width, height):
            raise InvalidInput(
                f"unit is of {found[0]}x{found[1]} pixels; {width}x{height} expected"
            )


def _parts(unit: bytes) -> list[tuple[int, bytes]]:
    """Kind and payload of each OBU (AV1 Bitstream & Decoding Process, 5.3)."""
    parts: list[tuple[int, bytes]] = []
    at = 0
    while at < len(unit):
        if len(parts) == MAX_PARTS:
            raise InvalidInput(f"unit has more than {MAX_PARTS} parts")
        head = unit[at]
        # Forbidden bit, extension and reserved bit have to be 0, the size has to be there.
        if head & 0b1000_0111 != 0b10:
            raise InvalidInput("unit is not AV1, or of a kind that no canvas is")
        size, at = _leb128(unit, at + 1)
        if at + size > len(unit):
            raise InvalidInput("unit is cut short")
        parts.append((head >> 3, unit[at : at + size]))
        at += size
    return parts


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A size of seven bits to a byte, and where it ends (AV1, 4.10.5)."""
    value = 0
    for place in range(_MAX_SIZE_BYTES):
        if at >= len(data):
            raise InvalidInput("unit is cut short")
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at
    raise InvalidInput("unit has a part without a sensible size")


def _size(header: bytes) -> tuple[int, int]:
    """Largest width and height, of a sequence header (AV1, 5.5.1)."""
    bits = Bits(header)
    profile, still, reduced = bits.take(3), bits.take(1), bits.take(1)
    if profile or still or reduced:
        raise InvalidInput(f"unit is of profile {profile}, or a still picture; Main expected")
    if bits.take(1):
        raise InvalidInput("unit says when its pictures are to be shown; a canvas does not")
    delayed = bits.take(1)
    if bits.take(5) or bits.take(12):
        raise InvalidInput("unit is of several layers; one expected")
    if bits.take(5) > 7:  # level 4.0 and above have a tier
        bits.take(1)
    if delayed and bits.take(1):
        bits.take(4)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(across) + 1, bits.take(down) + 1
    if bits.take(1):
        raise InvalidInput("unit numbers its pictures; a canvas does not")
    bits.take(7)
    ordered = bits.take(1)
    if ordered:
        bits.take(2)
    screen_content = 1 if bits.take(1) else bits.take(1)
    if screen_content and not bits.take(1):
        bits.take(1)
    if ordered:
        bits.take(3)
    bits.take(3)
    if bits.take(2):
        raise InvalidInput("unit is not of 8 bits with colours")
    if bits.take(1):
        bits.take(24)
    bits.take(4)
    if bits.take(1):
        raise InvalidInput("unit has film grain")
    return size
