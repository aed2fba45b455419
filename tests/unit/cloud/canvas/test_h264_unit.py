from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from secondlook.cloud.canvas.h264_unit import check_unit
from secondlook.shared.errors import InvalidInput


def unit(width: int, height: int, *, pix_fmt: str = "yuv420p", **options: str) -> bytes:
    """A key frame of x264 with settings of its own, without the SEI that x264 signs with."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, pix_fmt
    codec.time_base, codec.framerate = Fraction(1, 10), Fraction(10)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", **options}
    picture = av.VideoFrame.from_ndarray(
        np.zeros((height, width, 3), np.uint8), format="rgb24"
    ).reformat(format=pix_fmt)
    data = b"".join(bytes(packet) for packet in codec.encode(picture))
    parts = data.split(b"\x00\x00\x01")
    return b"\x00\x00\x01" + b"\x00\x00\x01".join(
        part.rstrip(b"\x00") for part in parts[1:] if part[0] & 0x1F != 6
    )


@pytest.mark.parametrize(("width", "height"), [(16, 16), (320, 240), (640, 362), (1280, 720)])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_reads_the_size_that_x264_wrote(width: int, height: int, profile: str) -> None:
    data = unit(width, height, profile=profile)
    check_unit(data, key=True, width=width, height=height)
    with pytest.raises(InvalidInput, match=f"{width}x{height}"):
        check_unit(data, key=True, width=width + 2, height=height)


def test_refuses_what_asks_for_much_memory() -> None:
    with pytest.raises(InvalidInput, match="reference pictures"):
        check_unit(unit(64, 64, refs="16", preset="slow"), key=True, width=64, height=64)
    with pytest.raises(InvalidInput, match="4000x3000"):
        check_unit(unit(4000, 3000), key=True, width=640, height=480)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv422p", "yuv420p10le"])
def test_refuses_other_pixels(pix_fmt: str) -> None:
    with pytest.raises(InvalidInput, match="unit is"):
        check_unit(unit(64, 64, pix_fmt=pix_fmt), key=True, width=64, height=64)


def test_refuses_interlaced_video() -> None:
    data = unit(64, 64, preset="medium", **{"x264-params": "tff=1"})
    with pytest.raises(InvalidInput, match="interlaced"):
        check_unit(data, key=True, width=64, height=64)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", True),
        (b"\x00\x00\x01", True),
        (b"garbage", True),
        (b"\x00\x00\x00\x01\x67", True),
        (b"\x00\x00\x01\x09\x10", False),
        (b"\x00\x00\x01\x41\x9a" * 200, False),
        (b"junk\x00\x00\x01\x41\x9a", False),
    ],
)
def test_refuses_what_is_no_access_unit(data: bytes, key: bool) -> None:
    with pytest.raises(InvalidInput, match="unit"):
        check_unit(data, key=key, width=64, height=64)


def test_a_key_frame_is_no_update_and_the_reverse() -> None:
    data = unit(64, 64)
    with pytest.raises(InvalidInput, match="expected of an update"):
        check_unit(data, key=False, width=64, height=64)
    with pytest.raises(InvalidInput, match="expected of a key frame"):
        check_unit(b"\x00\x00\x01\x41\x9a\x00", key=True, width=64, height=64)
    # Two key frames in one unit would be two pictures.
    with pytest.raises(InvalidInput, match="parts of kinds"):
        check_unit(data + data, key=True, width=64, height=64)
