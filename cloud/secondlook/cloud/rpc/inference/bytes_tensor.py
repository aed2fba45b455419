"""Tensors of BYTES: each element has its length before it, 4 bytes, little-endian.

Source: the Open Inference Protocol, "Tensor Data", raw contents of BYTES.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from secondlook.shared.errors import InvalidInput

_LENGTH = Struct("<I")


def split(name: str, raw: bytes, count: int) -> list[bytes]:
    """The elements of a tensor.

    Args:
        name: of the input, for the error.
        raw: the elements, each behind its length.
        count: how many there must be.

    Raises:
        InvalidInput: too few, too many, or an element cut short.
    """
    # Before anything is made: a shape may claim any number of elements.
    if count * _LENGTH.size > len(raw):
        raise InvalidInput(f"input {name!r} has {len(raw)} bytes; too few for {count} elements")
    found: list[bytes] = []
    position, end = 0, len(raw)
    unpack = _LENGTH.unpack_from
    while position < end:
        if len(found) == count:
            raise InvalidInput(f"input {name!r} has more than {count} elements")
        if position + 4 > end:
            raise InvalidInput(f"input {name!r}: the length of element {len(found)} is cut short")
        (length,) = unpack(raw, position)
        position += 4
        if position + length > end:
            raise InvalidInput(
                f"input {name!r}: element {len(found)} says {length} bytes; "
                f"{end - position} are left"
            )
        found.append(raw[position : position + length])
        position += length
    if len(found) < count:
        raise InvalidInput(f"input {name!r} has {len(found)} elements; {count} expected")
    return found


def joined(name: str, elements: Iterable[object]) -> bytes:
    """The elements of a tensor on the wire; text as UTF-8.

    Raises:
        TypeError: one is neither bytes nor text.
    """
    parts: list[bytes] = []
    for element in elements:
        data = element.encode() if isinstance(element, str) else element
        if not isinstance(data, bytes):
            raise TypeError(f"output {name!r} holds a {type(element).__name__}")
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)
