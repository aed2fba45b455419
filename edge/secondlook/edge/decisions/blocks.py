"""Blocks of records in a file: each compressed and checked by itself, so that one may be torn.

::

    file    = "SLDECIS1" block*
    block   = marker, size of the data, size unpacked, CRC-32 of both sizes and the data, data
    data    = zlib of (size of the record, record)*

A process that is killed, or a full disk, leaves the last block short: what is before it stands.
Where a block in the middle was changed, reading goes on at the next marker.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput

MAGIC = b"SLDECIS1"
MARKER = b"\xf0SLB"
MAX_BLOCK_BYTES = 4 * 1024 * 1024
"""Largest block unpacked; nothing larger is ever written, nor read."""

_HEAD = struct.Struct("<4sIII")
_SIZE = struct.Struct("<I")
_LEVEL = 6


@dataclass(slots=True)
class Damage:
    """What of a file could not be read.

    Attributes:
        torn: its last block is incomplete: the process was killed, or the disk was full.
        corrupt: places that were changed.
    """

    torn: bool = False
    corrupt: int = 0


def block(records: list[bytes], *, compress: bool = True) -> bytes:
    """Records as one block.

    Raises:
        InvalidInput: they are larger than a block may be.
    """
    raw = b"".join(_SIZE.pack(len(record)) + record for record in records)
    if len(raw) > MAX_BLOCK_BYTES:
        raise InvalidInput(f"{len(raw)} bytes in a block; at most {MAX_BLOCK_BYTES} expected")
    data = zlib.compress(raw, _LEVEL if compress else 0)
    sizes = struct.pack("<II", len(data), len(raw))
    return _HEAD.pack(MARKER, len(data), len(raw), zlib.crc32(data, zlib.crc32(sizes))) + data


def blocks(content: bytes, damage: Damage) -> Iterator[list[bytes]]:
    """The records of a file, block by block.

    Args:
        content: of the file.
        damage: is told what could not be read.

    Raises:
        InvalidInput: it is no file of a decision log.
    """
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            damage.torn = bool(content)
            return
        raise InvalidInput("this is no file of a decision log")
    at = len(MAGIC)
    while at < len(content):
        found = _block_at(content, at)
        if found is not None:
            records, at = found
            yield records
            continue
        following = _next_block(content, at + 1)
        if following is None:
            if _is_short(content, at):
                damage.torn = True
            else:
                damage.corrupt += 1
            return
        damage.corrupt += 1
        at = following


def _next_block(content: bytes, start: int) -> int | None:
    """Where the next whole block begins; a marker may also occur inside of one."""
    at = content.find(MARKER, start)
    while at >= 0:
        if _block_at(content, at) is not None:
            return at
        at = content.find(MARKER, at + 1)
    return None


def _block_at(content: bytes, at: int) -> tuple[list[bytes], int] | None:
    """The records of the block that begins there, and where it ends; ``None``: it is not whole."""
    if at + _HEAD.size > len(content):
        return None
    marker, size, unpacked, check = _HEAD.unpack_from(content, at)
    end = at + _HEAD.size + size
    if marker != MARKER or end > len(content) or unpacked > MAX_BLOCK_BYTES:
        return None
    data = content[at + _HEAD.size : end]
    if zlib.crc32(data, zlib.crc32(content[at + 4 : at + 12])) != check:
        return None
    opened = zlib.decompressobj()
    try:
        # One byte more than is said: what unpacks to more is no block of ours.
        raw = opened.decompress(data, unpacked + 1)
    except zlib.error:
        return None
    if len(raw) != unpacked:
        return None
    records, place = [], 0
    while place < len(raw):
        if place + _SIZE.size > len(raw):
            return None
        (length,) = _SIZE.unpack_from(raw, place)
        place += _SIZE.size
        if place + length > len(raw):
            return None
        records.append(raw[place : place + length])
        place += length
    return records, end


def _is_short(content: bytes, at: int) -> bool:
    """Whether what begins there is the beginning of a block that goes on beyond the end."""
    if at + _HEAD.size > len(content):
        return content[at : at + len(MARKER)] == MARKER[: len(content) - at]
    marker, size, unpacked, _ = _HEAD.unpack_from(content, at)
    return bool(
        marker == MARKER and at + _HEAD.size + size > len(content) and unpacked <= MAX_BLOCK_BYTES
    )
