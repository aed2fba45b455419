"""The simulated street keeps its promises: determinism, random access, honest truth."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.sim import CLASS_NAMES, StreetCamera, StreetConfig
from secondlook.shared.sim.camera import MIN_HEIGHT_PX

CLEAN = {"noise": 0.0, "blur": 0.0, "quality": 100, "shake": 0.0, "rain": 0.0, "hour": 12.0}


def test_a_frame_depends_only_on_configuration_and_index() -> None:
    forward = StreetCamera(StreetConfig(seed=3))
    frames = [forward.draw(i) for i in range(6)]
    for index in (5, 2, 0):
        again = StreetCamera(StreetConfig(seed=3)).draw(index)
        assert np.array_equal(again.image, frames[index].image)
        assert np.array_equal(again.truth.boxes, frames[index].truth.boxes)
        assert np.array_equal(again.truth.track_ids, frames[index].truth.track_ids)
        assert np.array_equal(again.ignore, frames[index].ignore)


def test_seeds_give_different_streets() -> None:
    one, two = (StreetCamera(StreetConfig(seed=s, **CLEAN)).draw(0) for s in (1, 2))
    assert np.abs(one.image.astype(int) - two.image).mean() > 10


@pytest.mark.parametrize("size", [(640, 384), (320, 192), (960, 540)])
def test_shapes_and_truth_in_frame(size: tuple[int, int]) -> None:
    width, height = size
    frame = StreetCamera(StreetConfig(seed=7, width=width, height=height)).draw(40)
    assert frame.image.shape == (height, width, 3)
    assert frame.image.dtype == np.uint8
    assert frame.time_s == pytest.approx(4.0)
    boxes = frame.truth.boxes
    assert len(boxes) > 5
    assert frame.ignore.shape == (len(boxes),)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert frame.truth.names == CLASS_NAMES


def test_small_objects_are_ignored_and_large_clear_ones_are_not() -> None:
    camera = StreetCamera(StreetConfig(seed=5))
    kept = 0
    for index in range(0, 300, 30):
        frame = camera.draw(index)
        heights = frame.truth.boxes[:, 3] - frame.truth.boxes[:, 1]
        assert frame.ignore[heights < MIN_HEIGHT_PX].all()
        kept += int((~frame.ignore & (heights > 30)).sum())
    assert kept > 10


def test_truth_boxes_lie_on_what_was_drawn() -> None:
    """Where traffic is, the frame differs from the empty street; elsewhere it hardly does."""
    busy = StreetCamera(StreetConfig(seed=9, **CLEAN)).draw(20)
    empty = StreetCamera(StreetConfig(seed=9, density=0.0, **CLEAN)).draw(20)
    assert len(empty.truth) == 0
    changed = np.abs(busy.image.astype(int) - empty.image).max(axis=2) > 12
    for box in busy.truth.boxes[~busy.ignore]:
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        assert changed[y0:y1, x0:x1].mean() > 0.25
    covered = np.zeros_like(changed)
    for x0, y0, x1, y1 in busy.truth.boxes.astype(int):
        # Shadows fall beside and below.
        covered[max(y0 - 3, 0) : y1 + 25, max(x0 - 40, 0) : x1 + 40] = True
    assert changed[~covered].mean() < 0.03


def test_a_track_keeps_its_id_and_moves_smoothly() -> None:
    camera = StreetCamera(StreetConfig(seed=4, shake=0.0))
    before, after = camera.draw(100).truth, camera.draw(101).truth
    assert len(set(before.track_ids.tolist())) == len(before)
    common = set(before.track_ids.tolist()) & set(after.track_ids.tolist())
    assert len(common) > 0.7 * len(before)
    for track in common:
        a, b = (
            int(np.flatnonzero(before.track_ids == track)[0]),
            int(np.flatnonzero(after.track_ids == track)[0]),
        )
        assert before.classes[a] == after.classes[b]
        assert abs(float(before.boxes[a, 3] - after.boxes[b, 3])) < 60


def test_look_alikes_change_the_picture_but_not_the_truth() -> None:
    plain = StreetCamera(StreetConfig(seed=6, lookalikes=0.0, **CLEAN)).draw(10)
    full = StreetCamera(StreetConfig(seed=6, lookalikes=3.0, **CLEAN)).draw(10)
    assert not np.array_equal(plain.image, full.image)
    assert set(full.truth.track_ids.tolist()) <= set(plain.truth.track_ids.tolist())


def test_night_is_darker_than_day() -> None:
    noon, night = (
        StreetCamera(StreetConfig(seed=2, hour=hour)).draw(0).image.mean() for hour in (12.0, 0.0)
    )
    assert night < 0.6 * noon


def test_frames_beyond_the_clip_are_refused() -> None:
    camera = StreetCamera(StreetConfig(seed=1, frames=10))
    camera.draw(9)
    for index in (-1, 10):
        with pytest.raises(IndexError, match=str(index)):
            camera.draw(index)
