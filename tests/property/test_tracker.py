"""What holds for a tracker whatever it is shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.edge.track import Tracker
from secondlook.shared.values import Detections

NAMES = ("a", "b")

_place = st.floats(0, 300, width=32)
_side = st.floats(0, 80, width=32)
_row = st.tuples(_place, _place, _side, _side, st.floats(0.0625, 1, width=32), st.integers(0, 1))
_frames = st.lists(st.lists(_row, max_size=8), max_size=8)
_steps = st.lists(st.floats(-0.5, 3), min_size=8, max_size=8)


def _detections(rows: list[tuple[float, float, float, float, float, int]]) -> Detections:
    return Detections.of(
        [(x, y, x + w, y + h) for x, y, w, h, _, _ in rows],
        [row[4] for row in rows],
        [row[5] for row in rows],
        NAMES,
    )


@given(_frames, _steps)
def test_ids_are_unique_in_a_frame_and_never_come_back(
    frames: list[list[tuple[float, float, float, float, float, int]]], steps: list[float]
) -> None:
    tracker = Tracker(TrackerSettings())
    time_s, alive, gone = 0.0, set[int](), set[int]()
    for rows, step in zip(frames, steps, strict=False):
        time_s += step
        ids = tracker.update(_detections(rows), time_s).track_ids.tolist()
        assert len(set(ids)) == len(ids)
        assert not gone & set(ids)
        now = {track.id for track in tracker.tracks}
        assert set(ids) <= now
        gone |= alive - now
        alive = now
        assert np.isfinite(tracker.boxes()).all()


@given(_frames, st.randoms(use_true_random=False))
def test_the_order_of_boxes_is_irrelevant(
    frames: list[list[tuple[float, float, float, float, float, int]]], shuffler: object
) -> None:
    one, other = Tracker(TrackerSettings()), Tracker(TrackerSettings())
    for i, rows in enumerate(frames):
        mixed = list(rows)
        shuffler.shuffle(mixed)
        a, b = one.update(_detections(rows), i / 3), other.update(_detections(mixed), i / 3)
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.track_ids, b.track_ids)
