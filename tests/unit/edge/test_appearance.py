"""Whether a place looks as it did."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import picture, textured

from secondlook.edge.appearance import difference, is_still, thumbnail
from secondlook.edge.pipeline_settings import MotionSettings
from secondlook.edge.still import MotionFilter

BOX = np.array([100, 80, 160, 140], np.float32)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1920, 1080), (50, 900), (1, 1)])
def test_a_thumbnail_keeps_the_shape(width: int, height: int) -> None:
    look = thumbnail(picture(width, height), 160)
    assert look.dtype == np.uint8
    assert look.shape == (max(1, round(height * 160 / width)), 160)


def test_a_place_differs_when_something_else_is_there() -> None:
    before, after = textured(seed=1), textured(seed=1)
    after[80:140, 100:160] = textured(seed=2)[80:140, 100:160]
    there, elsewhere = BOX, np.array([200, 20, 250, 60], np.float32)
    looks = thumbnail(before, 160), thumbnail(after, 160)
    assert difference(*looks, there, 320) > 20
    assert difference(*looks, elsewhere, 320) == 0


def test_a_cloud_before_the_sun_is_no_change() -> None:
    before = (textured() // 2).astype(np.uint8)
    looks = thumbnail(before, 160), thumbnail(before + 40, 160)
    assert difference(*looks, BOX, 320) < 1


def test_boxes_at_the_border_and_without_area_are_compared_too() -> None:
    look = thumbnail(textured(), 160)
    for box in ((0, 0, 0, 0), (319, 239, 320, 240), (-50, -50, 1000, 1000)):
        assert difference(look, look, np.array(box, np.float32), 320) == 0


def test_looks_of_different_size_cannot_be_the_same() -> None:
    small = thumbnail(picture(320, 100), 160)
    assert difference(small, thumbnail(picture(), 160), BOX, 320) == 255


def test_still_frames_are_told_from_moving_ones() -> None:
    settings = MotionSettings()
    moved = textured()
    moved[100:140, 100:140] = 0
    before = thumbnail(textured(), 160)
    assert is_still(before, thumbnail(textured(), 160), settings)
    assert not is_still(before, thumbnail(moved, 160), settings)
    assert not is_still(None, before, settings)


def test_the_filter_is_off_unless_asked_for() -> None:
    motion = MotionFilter(MotionSettings())
    assert [motion.skips(picture()) for _ in range(3)] == [False] * 3


def test_the_filter_never_skips_more_than_allowed() -> None:
    motion = MotionFilter(MotionSettings(enabled=True, max_skip=3))
    skips = [motion.skips(picture()) for _ in range(9)]
    assert skips == [False, True, True, True, False, True, True, True, False]


def test_slow_change_adds_up() -> None:
    motion = MotionFilter(MotionSettings(enabled=True, max_skip=100, changed_levels=10))
    skips = [motion.skips(picture(grey=100 + 2 * n)) for n in range(12)]
    assert skips[1]
    assert not all(skips[1:]), "each frame differs little from the one before"
