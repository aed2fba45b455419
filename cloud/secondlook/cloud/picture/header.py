"""What an image says of itself, read from its bytes before anything is decoded.

A 60000x60000 PNG is a few kilobytes that want eleven gigabytes: its size must be known, and
refused, before a decoder sees it. A file cut short must be refused too, since decoders fill what is
missing with grey, and the heavy model would judge a picture that never was.
"""

from __future__ import annotations

import struct

from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding
from secondlook.shared.values.escalation import VIDEO_ENCODINGS

MAX_CHUNKS = 65_536
"""Most parts of a PNG; libpng writes one for each 8 kB of a picture."""

MAX_SCANS = 64
"""Most scans of a progressive JPEG; encoders write some ten. Each goes over the whole picture, and
can be 14 bytes long: 8 MB of them would keep a decoder busy for an hour."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_SCAN = b"\xff\xda"
_JPEG_FRAMES = frozenset(
    {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
)
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})


def sniff(data: bytes) -> ImageEncoding:
    """The encoding of a still picture, by its first bytes.

    Raises:
        InvalidInput: none that is known.
    """
    if data.startswith(b"\xff\xd8"):
        return ImageEncoding.JPEG
    if data.startswith(_PNG_MAGIC):
        return ImageEncoding.PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageEncoding.WEBP
    raise InvalidInput("image is no JPEG, PNG or WebP")


def read_size(data: bytes, encoding: ImageEncoding) -> tuple[int, int]:
    """Width and height in pixels, as the header says.

    Raises:
        InvalidInput: not an image of that encoding, or cut short.
    """
    try:
        if encoding is ImageEncoding.JPEG:
            return _jpeg_size(data)
        if encoding is ImageEncoding.PNG:
            return _png_size(data)
        if encoding in VIDEO_ENCODINGS:
            raise InvalidInput("image is an update of a canvas; a still picture expected")
        return _webp_size(data)
    except (struct.error, IndexError):
        raise InvalidInput(f"image is a {encoding.value} cut short in its header") from None


def _png_size(data: bytes) -> tuple[int, int]:
    if not data.startswith(_PNG_MAGIC) or data[12:16] != b"IHDR":
        raise InvalidInput("image is not a png")
    if not data.endswith(_PNG_END):
        raise InvalidInput("image is a png cut short")
    _check_chunks(data)
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _check_chunks(data: bytes) -> None:
    """Refuse a PNG whose parts do not add up: OpenCV allocates what a part says that it has, up to
    2 GB for a picture of 70 bytes, before it looks whether it is there.
    """
    position = len(_PNG_MAGIC)
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if position > len(data):
            raise InvalidInput("image is a png with a part longer than the file")
        if kind == b"acTL":
            raise InvalidInput("image is an animated png; one picture expected")
        if kind == b"IEND":
            if position != len(data):
                raise InvalidInput("image is a png with bytes behind its end")
            return
    raise InvalidInput(f"image is a png of more than {MAX_CHUNKS} parts")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    if not data.startswith(b"\xff\xd8"):
        raise InvalidInput("image is not a jpeg")
    if not data.endswith(b"\xff\xd9"):
        raise InvalidInput("image is a jpeg cut short")
    # In what is encoded these two bytes never stand.
    if data.count(_JPEG_SCAN) > MAX_SCANS:
        raise InvalidInput(f"image is a jpeg of more than {MAX_SCANS} scans")
    position = 2
    while True:
        if data[position] != 0xFF:
            raise InvalidInput("image is a jpeg with a broken header")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_ALONE:
            continue
        if marker in (0xD9, 0xDA):
            raise InvalidInput("image is a jpeg without a frame header")
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if length < 2:
            raise InvalidInput("image is a jpeg with a broken header")
        position += length


def _webp_size(data: bytes) -> tuple[int, int]:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise InvalidInput("image is not a webp")
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise InvalidInput("image is a webp cut short")
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & 0x02:
            raise InvalidInput("image is an animated webp; one picture expected")
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise InvalidInput("image is a webp with a broken header")
