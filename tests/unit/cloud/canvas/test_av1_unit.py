from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from secondlook.cloud.canvas.av1_unit import check_unit
from secondlook.edge.carrier.av1 import Av1Encoder
from secondlook.edge.pipeline_settings import CanvasSettings
from secondlook.shared.errors import InvalidInput


def units(
    width: int, height: int, effort: Literal["quick", "good", "best"] = "quick"
) -> tuple[bytes, bytes]:
    """A key frame and an update."""
    encoder = Av1Encoder(width, height, CanvasSettings(effort=effort))
    draw = np.random.default_rng(3)
    first, second = (
        encoder.encode(draw.integers(0, 255, (height * 3 // 2, width), np.uint8)) for _ in range(2)
    )
    return first, second


KEY, UPDATE = units(64, 48)


@pytest.mark.parametrize(("width", "height"), [(16, 16), (320, 240), (640, 362), (2048, 1200)])
@pytest.mark.parametrize("effort", ["quick", "best"])
def test_reads_the_size_that_the_encoder_wrote(
    width: int, height: int, effort: Literal["quick", "best"]
) -> None:
    key, update = units(width, height, effort) if width < 1000 else units(width, height)
    check_unit(key, key=True, width=width, height=height)
    check_unit(update, key=False, width=width, height=height)
    with pytest.raises(InvalidInput, match=f"{width}x{height} pixels"):
        check_unit(key, key=True, width=width + 2, height=height)


def test_a_key_frame_is_no_update_and_the_reverse() -> None:
    with pytest.raises(InvalidInput, match="expected of an update"):
        check_unit(KEY, key=False, width=64, height=48)
    with pytest.raises(InvalidInput, match="expected of a key frame"):
        check_unit(UPDATE, key=True, width=64, height=48)
    # Two frames in one unit would be two pictures.
    for two in (UPDATE + UPDATE, KEY + UPDATE, b"\x12\x00" + UPDATE):
        with pytest.raises(InvalidInput, match="parts of kinds"):
            check_unit(two, key=False, width=64, height=48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x32\x80\x80\x80\x80\x00",
        b"\x32\x05abc",
        b"\x36\x00\x01a",
        b"\x32\x00" * 20,
        KEY[:5],
    ],
)
def test_refuses_what_is_no_unit(data: bytes) -> None:
    for key in (True, False):
        with pytest.raises(InvalidInput, match="unit"):
            check_unit(data, key=key, width=64, height=48)


def sequence(**changes: int) -> bytes:
    """A key frame whose sequence header says something else; its bits are written here."""
    bits = {
        "profile": (0, 3),
        "still": (0, 1),
        "reduced": (0, 1),
        "timing": (0, 1),
        "delay": (0, 1),
        "points": (0, 5),
        "layers": (0, 12),
        "level": (0, 5),
        "across": (5, 4),
        "down": (5, 4),
        "width": (63, 6),
        "height": (47, 6),
        "numbered": (0, 1),
        "tools": (0, 7),
        "ordered": (0, 1),
        "any content": (1, 1),
        "any vectors": (1, 1),
        "filters": (0, 3),
        "deep": (0, 1),
        "grey": (0, 1),
        "described": (0, 1),
        "colours": (0, 4),
        "grain": (0, 1),
    }
    for name, value in changes.items():
        bits[name] = (value, bits[name][1])
    said = "".join(f"{value:0{count}b}" for value, count in bits.values()) + "1"
    data = int(said.ljust(-(-len(said) // 8) * 8, "0"), 2).to_bytes(-(-len(said) // 8), "big")
    return bytes([0x0A, len(data)]) + data + UPDATE


def test_refuses_what_no_canvas_is() -> None:
    check_unit(sequence(), key=True, width=64, height=48)
    for field, text in (
        ("profile", "profile 1"),
        ("still", "still picture"),
        ("timing", "shown"),
        ("points", "layers"),
        ("layers", "layers"),
        ("numbered", "numbers"),
        ("deep", "8 bits"),
        ("grey", "8 bits"),
        ("grain", "grain"),
    ):
        with pytest.raises(InvalidInput, match=text):
            check_unit(sequence(**{field: 1}), key=True, width=64, height=48)


def test_a_header_cut_short_is_refused() -> None:
    whole = sequence()
    size = whole[1]
    for kept in range(size - 1):
        cut = bytes([0x0A, kept]) + whole[2 : 2 + kept] + UPDATE
        with pytest.raises(InvalidInput, match=r"cut short|pixels"):
            check_unit(cut, key=True, width=64, height=48)
