"""Lengths as Protocol Buffers write them."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A number from 0, seven bits a byte, the lowest first (Protocol Buffers, "Encoding")."""
    if number < 0x80:
        return bytes((number,))
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
