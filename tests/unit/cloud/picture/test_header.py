from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from support.cloud import encoded

from secondlook.cloud.picture.header import read_size
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding
from secondlook.shared.values.escalation import VIDEO_ENCODINGS

STILL = [item for item in ImageEncoding if item not in VIDEO_ENCODINGS]

SIZES = [(1, 1), (17, 3), (640, 360), (1000, 16)]


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def png_that_says(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("encoding", STILL)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_reads_the_size_of_what_opencv_wrote(
    encoding: ImageEncoding, width: int, height: int
) -> None:
    assert read_size(encoded(noise(width, height), encoding), encoding) == (width, height)


def test_reads_lossless_webp() -> None:
    done, data = cv2.imencode(".webp", noise(33, 21), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert done
    assert data.tobytes()[12:16] == b"VP8L"
    assert read_size(data.tobytes(), ImageEncoding.WEBP) == (33, 21)


def test_reads_extended_webp() -> None:
    with_alpha = np.dstack([noise(40, 30), np.full((30, 40), 128, np.uint8)])
    done, data = cv2.imencode(".webp", with_alpha, [cv2.IMWRITE_WEBP_QUALITY, 70])
    assert done
    assert data.tobytes()[12:16] == b"VP8X"
    assert read_size(data.tobytes(), ImageEncoding.WEBP) == (40, 30)


def test_reads_progressive_jpeg_behind_other_segments() -> None:
    done, data = cv2.imencode(".jpg", noise(50, 20), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 5000) + b"c" * 5000
    with_comment = data.tobytes()[:2] + comment + b"\xff\xff" + data.tobytes()[2:]
    assert read_size(with_comment[:2] + with_comment[2:], ImageEncoding.JPEG) == (50, 20)


def test_reads_a_bomb_without_decoding_it() -> None:
    assert read_size(png_that_says(60000, 60000), ImageEncoding.PNG) == (60000, 60000)


@pytest.mark.parametrize("encoding", STILL)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.1, 0.5, 0.99])
def test_refuses_what_is_cut_short(encoding: ImageEncoding, keep: float) -> None:
    data = encoded(noise(64, 48), encoding)
    with pytest.raises(InvalidInput, match="image is"):
        read_size(data[: int(len(data) * keep)], encoding)


@pytest.mark.parametrize("encoding", STILL)
@pytest.mark.parametrize("other", STILL)
def test_refuses_another_encoding_than_it_says(
    encoding: ImageEncoding, other: ImageEncoding
) -> None:
    if encoding is not other:
        with pytest.raises(InvalidInput, match=f"not a {encoding.value}"):
            read_size(encoded(noise(8, 8), other), encoding)


@pytest.mark.parametrize("encoding", STILL)
@pytest.mark.parametrize("seed", range(40))
def test_damage_is_refused_or_read_but_never_crashes(encoding: ImageEncoding, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(noise(64, 48), encoding))
    for place in rng.integers(0, min(len(data), 400), 8):
        data[place] = int(rng.integers(0, 256))
    try:
        width, height = read_size(bytes(data), encoding)
    except InvalidInput:
        return
    assert width >= 0
    assert height >= 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x00\xff\xd9",
        b"\xff\xd8\xff\xda\x00\x02\xff\xd9",
        b"\xff\xd8" + b"\xff" * 100 + b"\xff\xd9",
        b"\xff\xd8abcdef\xff\xd9",
    ],
)
def test_refuses_jpegs_without_a_frame(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_size(data, ImageEncoding.JPEG)


def test_refuses_animated_webp() -> None:
    head = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\x0f\0\0" + b"\x0f\0\0"
    with pytest.raises(InvalidInput, match="animated"):
        read_size(b"RIFF" + struct.pack("<I", len(head) + 4) + b"WEBP" + head, ImageEncoding.WEBP)


def test_refuses_jpegs_of_many_scans() -> None:
    done, data = cv2.imencode(".jpg", noise(64, 48), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    whole = data.tobytes()
    assert read_size(whole, ImageEncoding.JPEG) == (64, 48)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    with pytest.raises(InvalidInput, match="more than 64 scans"):
        read_size(whole[:-2] + 60 * last + whole[-2:], ImageEncoding.JPEG)


def parted(kind: bytes, length: int) -> bytes:
    """A tiny PNG with a part that says its length, and has none of it."""
    whole = png_that_says(8, 8)
    return whole[:33] + struct.pack(">I", length) + kind + whole[33:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        # OpenCV would allocate, and fill, what these say: two gigabytes for 1 kB.
        (parted(b"IDAT", 2**31 - 1), "a part longer than the file"),
        (parted(b"tEXt", 2**32 - 1), "a part longer than the file"),
        (parted(b"acTL", 0), "animated"),
        (png_that_says(8, 8) + png_that_says(8, 8), "bytes behind its end"),
        (png_that_says(8, 8)[:33] + bytes(12) * 70_000 + png_that_says(8, 8)[33:], "parts"),
    ],
    ids=["long", "longer", "animated", "two", "many"],
)
def test_refuses_pngs_whose_parts_do_not_add_up(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_size(data, ImageEncoding.PNG)
