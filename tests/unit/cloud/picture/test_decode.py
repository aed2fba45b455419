from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.cloud import encoded, picture
from unit.cloud.picture.test_header import noise, png_that_says

from secondlook.cloud.picture.decode import decode_image
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding
from secondlook.shared.values.escalation import VIDEO_ENCODINGS

STILL = [item for item in ImageEncoding if item not in VIDEO_ENCODINGS]

LIMIT = 1_000_000


def test_png_comes_back_pixel_by_pixel() -> None:
    image = noise(64, 48)
    assert np.array_equal(decode_image(encoded(image), ImageEncoding.PNG, LIMIT), image)


@pytest.mark.parametrize("encoding", [ImageEncoding.JPEG, ImageEncoding.WEBP])
def test_lossy_comes_back_nearly(encoding: ImageEncoding) -> None:
    image = picture(64, 48, (16, 16, 48, 32))
    decoded = decode_image(encoded(image, encoding), encoding, LIMIT)
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 6


@pytest.mark.parametrize(
    "image", [noise(20, 10)[:, :, 0], np.dstack([noise(20, 10)] * 2)[:, :, :4]]
)
def test_grey_and_alpha_become_bgr(image: np.ndarray) -> None:
    assert decode_image(encoded(image), ImageEncoding.PNG, LIMIT).shape == (10, 20, 3)


def test_sixteen_bits_become_eight() -> None:
    deep = np.full((10, 20, 3), 40_000, np.uint16)
    decoded = decode_image(encoded(deep), ImageEncoding.PNG, LIMIT)
    assert decoded.dtype == np.uint8
    assert decoded[0, 0, 0] == 40_000 >> 8


def test_an_orientation_tag_does_not_turn_the_picture() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = encoded(noise(40, 20), ImageEncoding.JPEG)
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (40, 20, 3)
    assert decode_image(turned, ImageEncoding.JPEG, LIMIT).shape == (20, 40, 3)


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (20000, 10), (1100, 1000), (0, 5)])
def test_a_bomb_is_refused_by_its_header(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InvalidInput, match=f"{width}x{height}"):
        decode_image(png_that_says(width, height), ImageEncoding.PNG, LIMIT)


def test_a_broken_body_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be decoded"):
        decode_image(png_that_says(300, 300), ImageEncoding.PNG, LIMIT)


@pytest.mark.parametrize("encoding", STILL)
@pytest.mark.parametrize("seed", range(25))
def test_damage_is_refused_or_gives_a_picture_of_the_size_told(
    encoding: ImageEncoding, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(noise(64, 48), encoding))
    for place in rng.integers(0, len(data), 20):
        data[place] = int(rng.integers(0, 256))
    try:
        image = decode_image(bytes(data), encoding, LIMIT)
    except InvalidInput:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
