"""Association of boxes over time."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import Seen, seen

from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.edge.track import Tracker


def _tracker(**changes: object) -> Tracker:
    return Tracker(TrackerSettings.model_validate(changes))


def _ids(tracker: Tracker, time_s: float, *boxes: Seen) -> list[int]:
    return tracker.update(seen(*boxes), time_s).track_ids.tolist()


def test_an_object_keeps_its_id_while_it_moves() -> None:
    tracker = _tracker()
    ids = {_ids(tracker, i / 10, ((8 * i, 10, 30 + 8 * i, 60), 0.8, "car"))[0] for i in range(20)}
    assert len(ids) == 1


def test_two_objects_that_pass_each_other_keep_their_ids() -> None:
    tracker = _tracker()
    first = []
    for i in range(30):
        left: Seen = ((10.0 * i, 0, 10.0 * i + 40, 40), 0.9, "car")
        right: Seen = ((300 - 10.0 * i, 30, 340 - 10.0 * i, 70), 0.8, "car")
        first.append(_ids(tracker, i / 10, left, right))
    assert all(ids == first[0] for ids in first)


def test_a_weak_box_carries_a_track_on_that_a_strong_one_began() -> None:
    tracker = _tracker()
    begun = _ids(tracker, 0.0, ((0, 0, 40, 40), 0.9, "car"))
    assert _ids(tracker, 0.1, ((2, 0, 42, 40), 0.08, "car")) == begun


def test_class_plays_no_part() -> None:
    tracker = _tracker()
    begun = _ids(tracker, 0.0, ((0, 0, 40, 40), 0.9, "car"))
    assert _ids(tracker, 0.1, ((0, 0, 40, 40), 0.9, "person")) == begun


def test_double_boxes_of_one_object_are_one_track() -> None:
    tracker = _tracker()
    kept = tracker.update(seen(((0, 0, 40, 40), 0.6, "car"), ((1, 1, 41, 41), 0.9, "person")), 0.0)
    assert kept.scores.tolist() == pytest.approx([0.9])


def test_a_confirmed_track_survives_a_gap_and_a_new_one_does_not() -> None:
    tracker = _tracker(confirm_hits=2, coast_s=1.0)
    box: Seen = ((0, 0, 40, 40), 0.9, "car")
    begun = _ids(tracker, 0.0, box)
    _ids(tracker, 0.1)
    assert _ids(tracker, 0.2, box) != begun, "it had been seen once only"
    confirmed = _ids(tracker, 0.3, box)
    _ids(tracker, 0.4)
    assert _ids(tracker, 1.2, box) == confirmed
    _ids(tracker, 1.3)
    assert _ids(tracker, 2.4, box) != confirmed, "it was away for longer than coast_s"


def test_far_moves_are_followed_only_within_reach() -> None:
    far: Seen = ((45, 0, 85, 40), 0.9, "car")
    for reach, same in ((0.6, True), (0.0, False)):
        tracker = _tracker(reach=reach)
        begun = _ids(tracker, 0.0, ((0, 0, 40, 40), 0.9, "car"))
        assert (_ids(tracker, 0.3, far) == begun) is same


def test_boxes_of_very_different_size_are_not_the_same_object() -> None:
    tracker = _tracker()
    begun = _ids(tracker, 0.0, ((0, 0, 20, 20), 0.9, "car"))
    assert _ids(tracker, 0.1, ((25, 0, 90, 65), 0.9, "car")) != begun


def test_more_boxes_than_tracks_are_allowed_are_dropped() -> None:
    tracker = _tracker(max_tracks=3)
    boxes: list[Seen] = [((50.0 * i, 0, 50.0 * i + 20, 20), 0.9, "car") for i in range(5)]
    assert len(_ids(tracker, 0.0, *boxes)) == len(tracker.tracks) == 3


def test_very_weak_boxes_start_nothing_and_are_dropped() -> None:
    tracker = _tracker(start_score=0.1)
    assert _ids(tracker, 0.0, ((0, 0, 40, 40), 0.08, "car")) == []
    assert len(_ids(tracker, 0.1, ((0, 0, 40, 40), 0.12, "car"))) == 1
    assert len(_ids(tracker, 0.2, ((0, 0, 40, 40), 0.06, "car"))) == 1


def test_of_many_boxes_the_best_are_looked_at() -> None:
    tracker = _tracker(max_boxes=2)
    boxes: list[Seen] = [((50.0 * i, 0, 50.0 * i + 20, 20), 0.3 + i / 10, "car") for i in range(5)]
    kept = tracker.update(seen(*boxes), 0.0)
    assert kept.scores.tolist() == pytest.approx([0.7, 0.6])


def test_empty_frames_and_time_that_goes_back_are_harmless() -> None:
    tracker = _tracker()
    box: Seen = ((0, 0, 40, 40), 0.9, "car")
    begun = _ids(tracker, 5.0, box)
    assert _ids(tracker, 4.0, box) == begun
    assert _ids(tracker, 5.1) == []


def test_a_track_that_the_cloud_started_is_found_by_the_edge() -> None:
    tracker = _tracker()
    _ids(tracker, 0.0)
    new = tracker.reserve_id()
    tracker.start(new, np.array([100, 100, 140, 160], np.float32), 0.0)
    assert _ids(tracker, 0.1, ((101, 100, 141, 160), 0.2, "person")) == [new]


def test_vouching_confirms_and_says_whether_the_track_lives() -> None:
    tracker = _tracker(coast_s=1.0)
    (begun,) = _ids(tracker, 0.0, ((0, 0, 40, 40), 0.9, "car"))
    assert tracker.vouch(begun, confirmed=True)
    assert not tracker.vouch(begun + 100, confirmed=True)
    _ids(tracker, 0.5)
    assert [track.id for track in tracker.tracks] == [begun]
