"""Placing images in a network's input."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.letterbox import PAD, Fit, Letterbox


def test_centred_leaves_equal_padding() -> None:
    place = Letterbox.fit(768, 432, 640, 640, Fit.CENTRED)
    assert (place.left, place.top, place.inner_width, place.inner_height) == (0, 140, 640, 360)


def test_top_left_pads_below_or_to_the_right() -> None:
    place = Letterbox.fit(240, 320, 416, 416, Fit.TOP_LEFT)
    assert (place.left, place.top, place.inner_width, place.inner_height) == (0, 0, 312, 416)


def test_stretch_has_a_scale_of_its_own_each_way() -> None:
    place = Letterbox.fit(320, 240, 640, 640, Fit.STRETCH)
    assert (place.inner_width, place.inner_height) == (640, 640)
    assert (place.scale_x, place.scale_y) == (2.0, pytest.approx(640 / 240))


def test_an_image_thinner_than_a_pixel_of_the_input_keeps_one() -> None:
    place = Letterbox.fit(16384, 1, 64, 64, Fit.CENTRED)
    assert (place.inner_width, place.inner_height) == (64, 1)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5), (60000, 60000)])
def test_a_size_that_no_image_has_is_refused(width: int, height: int) -> None:
    with pytest.raises(InvalidInput):
        Letterbox.fit(width, height, 64, 64, Fit.CENTRED)
    with pytest.raises(InvalidInput, match="network input"):
        Letterbox.fit(64, 64, width, height, Fit.CENTRED)


def test_draw_writes_every_pixel_of_one_row_of_a_batch_and_no_other() -> None:
    batch = np.full((3, 64, 96, 3), 7, np.uint8)
    image = np.full((32, 32, 3), 200, np.uint8)
    place = Letterbox.fit(32, 32, 96, 64, Fit.CENTRED)
    place.draw(image, batch[1])
    assert (batch[0] == 7).all()
    assert (batch[2] == 7).all()
    assert (batch[1, place.rows, place.columns] == 200).all()
    outside = np.ones((64, 96), bool)
    outside[place.rows, place.columns] = False
    assert (batch[1][outside] == PAD).all()
    assert outside.any()


def test_draw_can_leave_the_padding_of_the_last_image() -> None:
    out = np.full((64, 64, 3), 9, np.uint8)
    place = Letterbox.fit(64, 32, 64, 64, Fit.TOP_LEFT)
    place.draw(np.zeros((32, 64, 3), np.uint8), out, repaint=False)
    assert (out[:32] == 0).all()
    assert (out[32:] == 9).all()


def test_an_image_of_the_right_size_is_copied_unscaled() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    out = np.zeros_like(image)
    Letterbox.fit(96, 64, 96, 64, Fit.CENTRED).draw(image, out)
    np.testing.assert_array_equal(out, image)


def test_to_source_clips_to_the_image() -> None:
    place = Letterbox.fit(100, 50, 200, 200, Fit.CENTRED)
    boxes = np.array([[-50, -50, 500, 500], [20, 60, 40, 80]], np.float32)
    np.testing.assert_allclose(place.to_source(boxes), [[0, 0, 100, 50], [10, 5, 20, 15]])


def test_mapping_leaves_its_argument_alone() -> None:
    place = Letterbox.fit(100, 50, 200, 200, Fit.CENTRED)
    boxes = np.array([[20, 60, 40, 80]], np.float32)
    place.to_source(boxes)
    place.to_input(boxes)
    np.testing.assert_array_equal(boxes, [[20, 60, 40, 80]])
    assert place.to_source(np.empty((0, 4), np.float32)).shape == (0, 4)
