"""H.264 without delay: one access unit a picture, each decoded at once."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.cli.price.h264 import H264Decoder, H264Encoder
from secondlook.shared.errors import InvalidInput


def pictures(width: int, height: int, count: int = 5) -> list[np.ndarray]:
    """A gradient with a square that moves."""
    ramp = np.linspace(30, 200, width, dtype=np.uint8)
    base = np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)
    found = []
    for i in range(count):
        image = base.copy()
        image[4:16, 4 + i : 16 + i] = 250
        found.append(image)
    return found


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49), (17, 16), (320, 240)])
def test_each_picture_comes_back_at_once_in_its_own_size(width: int, height: int) -> None:
    encoder, decoder = H264Encoder(width, height, 5.0, 20), H264Decoder()
    for image in pictures(width, height):
        unit = encoder.encode(image)
        back = decoder.decode(unit, width, height)
        assert back.shape == image.shape
        assert back.dtype == np.uint8
        assert np.abs(back.astype(int) - image).mean() < 6


def test_a_still_scene_costs_next_to_nothing_after_the_key_frame() -> None:
    encoder = H264Encoder(128, 96, 5.0, 23)
    image = pictures(128, 96)[0]
    sizes = [len(encoder.encode(image)) for _ in range(5)]
    assert max(sizes[1:]) < sizes[0] / 4


def test_a_higher_factor_costs_less() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    fine, coarse = (len(H264Encoder(128, 96, 5.0, crf).encode(noise)) for crf in (18, 40))
    assert coarse < fine / 2


@pytest.mark.parametrize("unit", [b"", b"junk" * 50, b"\x00\x00\x00\x01\x67" + b"\xff" * 20])
def test_junk_is_refused(unit: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"access unit|pictures"):
        H264Decoder().decode(unit, 64, 48)


def test_a_truncated_unit_is_refused_or_decoded_but_never_fatal() -> None:
    unit = H264Encoder(64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    decoder = H264Decoder()
    with pytest.raises(InvalidInput):
        decoder.decode(unit[:40], 64, 48)
    whole = H264Encoder(64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    assert decoder.decode(whole, 64, 48).shape == (48, 64, 3)


def test_a_picture_smaller_than_announced_is_refused() -> None:
    unit = H264Encoder(64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    with pytest.raises(InvalidInput, match="64x48, smaller than 640x480"):
        H264Decoder().decode(unit, 640, 480)
