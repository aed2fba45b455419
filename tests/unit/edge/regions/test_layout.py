"""Rectangles around what is asked."""

from __future__ import annotations

import numpy as np

from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions import Canonical, each_alone, regions_alone, regions_around

SETTINGS = RegionSettings()


def _regions(frame: Canonical, *boxes: tuple[float, ...], others: object = None) -> list[tuple]:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    around = None if others is None else np.array(others, np.float32).reshape(-1, 4)
    found = regions_around(array, [f"box {i}" for i in range(len(boxes))], frame, SETTINGS, around)
    return [(region.xyxy, region.reason) for region in found]


def test_a_small_frame_is_its_own_canonical_frame() -> None:
    frame = Canonical.of(320, 240, 640)
    assert (frame.width, frame.height) == (320, 240)


def test_a_large_frame_is_worked_on_at_the_models_width() -> None:
    frame = Canonical.of(1920, 1080, 640)
    assert (frame.width, frame.height) == (640, 360)
    ((place, _),) = _regions(frame, (960, 540, 1020, 600))
    assert place == (912, 480, 1104, 672)  # a 48 px side and the 16 px grid, three times
    assert all(value % 48 == 0 for value in place)


def test_a_region_is_padded_and_on_the_grid() -> None:
    ((place, reason),) = _regions(Canonical.of(640, 480, 640), (100, 100, 200, 180))
    assert place == (80, 80, 224, 208)
    assert reason == "box 0"


def test_tiny_boxes_get_a_region_of_the_least_side() -> None:
    ((place, _),) = _regions(Canonical.of(640, 480, 640), (300, 300, 304, 304))
    assert place[2] - place[0] >= SETTINGS.min_side_px
    assert place[3] - place[1] >= SETTINGS.min_side_px


def test_regions_stay_inside_the_frame() -> None:
    frame = Canonical.of(630, 470, 640)
    places = [place for place, _ in _regions(frame, (0, 0, 5, 5), (600, 440, 630, 470))]
    assert places == [(0, 0, 48, 48), (576, 416, 630, 470)]


def test_regions_that_overlap_are_joined_in_a_chain() -> None:
    frame = Canonical.of(640, 480, 640)
    ((place, reason),) = _regions(frame, (0, 0, 40, 40), (90, 0, 130, 40), (45, 0, 85, 40))
    assert place[0] == 0
    assert place[2] >= 130
    assert sorted(reason.split("; ")) == ["box 0", "box 1", "box 2"]


def test_the_whole_frame_goes_where_regions_cover_most_of_it() -> None:
    ((place, reason),) = _regions(Canonical.of(320, 240, 640), (0, 0, 250, 220))
    assert place == (0, 0, 320, 240)
    assert reason == "box 0"


def test_an_object_in_front_is_shown_whole() -> None:
    frame = Canonical.of(640, 480, 640)
    legs, person = (300, 300, 340, 360), (290, 120, 350, 362)
    ((alone, _),) = _regions(frame, legs)
    ((together, _),) = _regions(frame, legs, others=[person])
    assert alone[1] > 200
    assert together[1] <= 120
    assert _regions(frame, legs, others=[(0, 0, 50, 50)]) == _regions(frame, legs)


def test_each_box_alone_is_padded_as_if_there_were_no_other() -> None:
    frame = Canonical(1000, 500, 500, 250)
    boxes = np.array([(100, 100, 200, 200), (150, 150, 260, 260), (0, 0, 990, 490)], np.float32)
    alone = each_alone(boxes, frame, SETTINGS)
    assert alone.dtype == np.float32
    for box, region in zip(boxes, alone, strict=True):
        assert regions_around(box[None], ["why"], frame, SETTINGS)[0].xyxy == tuple(region)
    assert tuple(alone[2]) == frame.whole().xyxy
    assert each_alone(boxes[:0], frame, SETTINGS).shape == (0, 4)


def test_alone_is_alone_at_any_size_and_place() -> None:
    chance = np.random.default_rng(3)
    for frame in (
        Canonical.of(320, 240, 640),
        Canonical.of(1920, 1080, 640),
        Canonical.of(9, 7, 4),
    ):
        low = chance.uniform(-20, frame.native_width, (200, 2))
        sides = chance.uniform(0, frame.native_width, (200, 2)) ** chance.uniform(0, 1, (200, 1))
        boxes = np.concatenate([low, low + sides], axis=1).astype(np.float32)
        for box, region in zip(boxes, regions_alone(boxes, frame, SETTINGS), strict=True):
            assert regions_around(box[None], [""], frame, SETTINGS) == (region,)
            assert 0 <= region.x < region.x + region.width <= frame.native_width
            assert 0 <= region.y < region.y + region.height <= frame.native_height
