"""The buffer that feeds a network."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.detect.input_format import InputBuffer, InputFormat
from secondlook.shared.letterbox import Fit, Letterbox

IMAGE = np.random.default_rng(5).integers(0, 256, (90, 160, 3), np.uint8)


def _expected(form: InputFormat, image: np.ndarray) -> np.ndarray:
    """The same, the slow way: letterbox, colours, range, axes, one after the other."""
    height, width = image.shape[:2]
    place = Letterbox.fit(width, height, form.width, form.height, form.fit)
    canvas = np.full((form.height, form.width, 3), form.pad, np.uint8)
    place.scale_into(image, canvas[place.rows, place.columns])
    pixels = canvas[..., ::-1] if form.rgb else canvas
    if form.unit_range:
        pixels = pixels / np.float32(255)
    return pixels if form.channels_last else pixels.transpose(2, 0, 1)


RANGES = [
    (np.uint8, False),
    (np.float16, False),
    (np.float16, True),
    (np.float32, False),
    (np.float32, True),
]


@pytest.mark.parametrize(("dtype", "unit_range"), RANGES)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("fit", list(Fit))
def test_every_format_is_what_the_slow_way_gives(
    dtype: type, unit_range: bool, channels_last: bool, rgb: bool, fit: Fit
) -> None:
    form = InputFormat(96, 64, dtype, channels_last, rgb, unit_range, fit)
    buffer = InputBuffer(form, 2)
    place = buffer.write(1, IMAGE)
    assert place == Letterbox.fit(160, 90, 96, 64, fit)
    assert buffer.array.shape == form.shape(2)
    assert buffer.array.dtype == dtype
    tolerance = 1e-3 if dtype == np.float16 else 1e-6
    np.testing.assert_allclose(buffer.array[1], _expected(form, IMAGE), rtol=tolerance)
    assert not buffer.array[0].any()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_row_that_held_another_shape_shows_nothing_of_it(
    channels_last: bool, dtype: type
) -> None:
    form = InputFormat(96, 64, dtype, channels_last, pad=7)
    buffer = InputBuffer(form, 1)
    tall = np.full((200, 50, 3), 255, np.uint8)
    for image in (tall, IMAGE, IMAGE[:, :80], tall, IMAGE, IMAGE):
        buffer.write(0, image)
        np.testing.assert_allclose(buffer.array[0], _expected(form, image), rtol=1e-6)


def test_an_image_of_the_input_size_needs_no_scratch() -> None:
    form = InputFormat(160, 90, np.float32, rgb=True)
    buffer = InputBuffer(form, 1)
    before = IMAGE.copy()
    buffer.write(0, IMAGE)
    np.testing.assert_array_equal(buffer.array[0], _expected(form, IMAGE))
    np.testing.assert_array_equal(IMAGE, before)


def test_bytes_written_counts_each_pass() -> None:
    direct = InputBuffer(InputFormat(64, 64, np.uint8, channels_last=True), 1)
    direct.write(0, np.zeros((32, 64, 3), np.uint8))
    assert direct.bytes_written == 32 * 64 * 3
    planes = InputBuffer(InputFormat(64, 64), 1)
    planes.write(0, np.zeros((64, 128, 3), np.uint8))  # resize, split and widen to 4 bytes
    assert planes.bytes_written == 32 * 64 * 3 * (1 + 1 + 4)
