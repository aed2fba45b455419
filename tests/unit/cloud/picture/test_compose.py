from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cloud import one_region, picture, whole_frame

from secondlook.cloud.picture.compose import GREY, canonical_size, compose, shrink_to
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Placement, Region


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(32, 1280), st.integers(32, 1280))
def test_the_canvas_fits_frame_and_model(fw: int, fh: int, mw: int, mh: int) -> None:
    width, height = canonical_size(fw, fh, mw, mh)
    assert 1 <= width <= min(fw, mw)
    assert 1 <= height <= min(fh, mh)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((1920, 1080), (640, 360)), ((320, 240), (320, 240)), ((1080, 1920), (360, 640))],
)
def test_canonical_size(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    assert canonical_size(*frame, 640, 640) == expected


def test_a_whole_frame_is_used_without_a_copy() -> None:
    image = picture(1280, 720)
    scene = compose(whole_frame(picture(1280, 720)), image, (640, 360), picture(640, 360))
    assert scene.picture is image
    assert scene.whole
    assert (scene.scale_x, scene.scale_y) == (1, 1)


def test_a_whole_frame_sent_small_keeps_its_scale() -> None:
    asked = whole_frame(
        picture(1280, 720), placements=(Placement(Region(0, 0, 1280, 720), 0, 0, 640, 360),)
    )
    scene = compose(asked, picture(640, 360), (640, 360), None)
    assert (scene.scale_x, scene.scale_y) == (2, 2)


def test_a_region_lies_where_it_belongs_on_grey() -> None:
    asked = one_region(picture(320, 240), Region(100, 50, 40, 30))
    scene = compose(asked, picture(40, 30, level=7), (320, 240), None)
    expected = np.full((240, 320, 3), GREY, np.uint8)
    expected[50:80, 100:140] = 7
    assert np.array_equal(scene.picture, expected)
    assert not scene.whole


def test_a_region_lies_on_the_background_and_leaves_it_untouched() -> None:
    background = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    kept = background.copy()
    asked = one_region(picture(320, 240), Region(100, 50, 40, 30))
    scene = compose(asked, picture(40, 30, level=7), (320, 240), background)
    expected = kept.copy()
    expected[50:80, 100:140] = 7
    assert np.array_equal(scene.picture, expected)
    assert np.array_equal(background, kept)


def test_background_of_another_scale_is_fitted() -> None:
    asked = one_region(picture(1280, 960), Region(0, 0, 16, 16))
    scene = compose(asked, picture(16, 16), (640, 480), picture(320, 240, level=90))
    assert scene.picture.shape == (480, 640, 3)
    assert (scene.picture[100:, 100:] == 90).all()


def test_regions_are_scaled_into_place() -> None:
    # Sent at half the native size, judged at half the native size: not resampled at all.
    frame = picture(1280, 720)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    asked = whole_frame(frame, placements=(Placement(Region(320, 160, 128, 64), 0, 0, 64, 32),))
    scene = compose(asked, pixels, (640, 360), None)
    assert np.array_equal(scene.picture[80:112, 160:224], pixels)
    assert (scene.scale_x, scene.scale_y) == (2, 2)


def test_two_regions_of_a_mosaic_do_not_mix() -> None:
    mosaic = np.concatenate([picture(20, 20, level=10), picture(20, 20, level=200)], axis=1)
    asked = whole_frame(
        picture(320, 240),
        placements=(
            Placement(Region(0, 0, 20, 20), 20, 0, 20, 20),
            Placement(Region(300, 220, 20, 20), 0, 0, 20, 20),
        ),
    )
    scene = compose(asked, mosaic, (320, 240), None)
    assert (scene.picture[:20, :20] == 200).all()
    assert (scene.picture[220:, 300:] == 10).all()
    assert (scene.picture[100, 100] == GREY).all()


def test_a_region_thinner_than_a_pixel_of_the_canvas_is_kept() -> None:
    asked = one_region(picture(6400, 3600), Region(6399, 3599, 1, 1))
    scene = compose(asked, picture(1, 1, level=3), (640, 360), None)
    assert (scene.picture[359, 639] == 3).all()
    assert (scene.picture == 3).all(axis=2).sum() == 1


@pytest.mark.parametrize(
    ("x", "y", "width", "height"), [(1, 0, 40, 30), (0, 1, 40, 30), (0, 0, 41, 30)]
)
def test_pixels_outside_the_image_are_refused(x: int, y: int, width: int, height: int) -> None:
    asked = whole_frame(
        picture(320, 240), placements=(Placement(Region(0, 0, 40, 30), x, y, width, height),)
    )
    with pytest.raises(InvalidInput, match="leaves the image"):
        compose(asked, picture(40, 30), (320, 240), None)


def test_regions_that_overlap_absurdly_are_refused() -> None:
    place = Placement(Region(0, 0, 320, 240), 0, 0, 40, 30)
    asked = whole_frame(picture(320, 240), placements=(place,) * 5)
    with pytest.raises(InvalidInput, match="overlap"):
        compose(asked, picture(40, 30), (320, 240), None)


def test_shrink_only_what_is_larger() -> None:
    small = picture(320, 240)
    assert shrink_to(small, (640, 480)) is small
    assert shrink_to(picture(1280, 960), (640, 480)).shape == (480, 640, 3)
