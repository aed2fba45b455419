"""H.264 and H.265 without delay: one access unit a picture, each decoded at once."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.cli.price.video import H264, H265, Codec, VideoDecoder, VideoEncoder
from secondlook.shared.errors import InvalidInput

CODECS = pytest.mark.parametrize("codec", [H264, H265], ids=["h264", "h265"])


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


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49), (34, 32), (320, 240)])
@CODECS
def test_each_picture_comes_back_at_once_in_its_own_size(
    codec: Codec, width: int, height: int
) -> None:
    encoder, decoder = VideoEncoder(codec, width, height, 5.0, 20), VideoDecoder(codec)
    for image in pictures(width, height):
        unit = encoder.encode(image)
        back = decoder.decode(unit, width, height)
        assert back.shape == image.shape
        assert back.dtype == np.uint8
        assert np.abs(back.astype(int) - image).mean() < 6


@CODECS
def test_a_still_scene_costs_next_to_nothing_after_the_key_frame(codec: Codec) -> None:
    encoder = VideoEncoder(codec, 128, 96, 5.0, 23)
    image = pictures(128, 96)[0]
    sizes = [len(encoder.encode(image)) for _ in range(5)]
    assert max(sizes[2:]) < sizes[0] / 4


@CODECS
def test_a_higher_factor_costs_less(codec: Codec) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    fine, coarse = (len(VideoEncoder(codec, 128, 96, 5.0, crf).encode(noise)) for crf in (18, 40))
    assert coarse < fine / 2


@CODECS
@pytest.mark.parametrize("unit", [b"", b"junk" * 50, b"\x00\x00\x00\x01\x67" + b"\xff" * 20])
def test_junk_is_refused(codec: Codec, unit: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"access unit|pictures"):
        VideoDecoder(codec).decode(unit, 64, 48)


@CODECS
def test_a_truncated_unit_is_refused_or_decoded_but_never_fatal(codec: Codec) -> None:
    unit = VideoEncoder(codec, 64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    decoder = VideoDecoder(codec)
    with pytest.raises(InvalidInput):
        decoder.decode(unit[:40], 64, 48)
    whole = VideoEncoder(codec, 64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    assert decoder.decode(whole, 64, 48).shape == (48, 64, 3)


@CODECS
def test_a_picture_smaller_than_announced_is_refused(codec: Codec) -> None:
    unit = VideoEncoder(codec, 64, 48, 5.0, 20).encode(pictures(64, 48)[0])
    with pytest.raises(InvalidInput, match="64x48, smaller than 640x480"):
        VideoDecoder(codec).decode(unit, 640, 480)


@CODECS
def test_each_picture_is_one_unit_so_that_nothing_waits(codec: Codec) -> None:
    encoder = VideoEncoder(codec, 64, 48, 10.0, 26)
    assert all(len(encoder.encode(image)) > 0 for image in pictures(64, 48, 12))


def test_what_an_encoder_cannot_take_is_named() -> None:
    # x265 takes nothing smaller than its coding units.
    with pytest.raises(InvalidInput, match=r"H\.265 cannot encode 8x8"):
        VideoEncoder(H265, 8, 8, 5.0, 26).encode(np.zeros((8, 8, 3), np.uint8))
