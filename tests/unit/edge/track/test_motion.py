"""The Kalman filter of all boxes of a camera."""

from __future__ import annotations

import numpy as np

from secondlook.edge.track.motion import Motion


def _boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_a_box_that_moves_evenly_is_predicted_where_it_will_be() -> None:
    motion = Motion.empty()
    motion.add(_boxes((0, 0, 20, 40)))
    for step in range(1, 12):
        motion.predict(0.1)
        motion.measure(np.array([0]), _boxes((5 * step, 0, 20 + 5 * step, 40)))
    motion.predict(0.1)
    np.testing.assert_allclose(motion.boxes()[0], [60, 0, 80, 40], atol=1.5)


def test_boxes_do_not_disturb_each_other() -> None:
    alone, both = Motion.empty(), Motion.empty()
    alone.add(_boxes((0, 0, 10, 10)))
    both.add(_boxes((0, 0, 10, 10), (100, 100, 150, 150)))
    for motion in (alone, both):
        motion.predict(0.5)
        motion.measure(np.array([0]), _boxes((3, 1, 13, 11)))
        motion.predict(0.5)
    np.testing.assert_array_equal(alone.boxes()[0], both.boxes()[0])


def test_no_time_moves_nothing() -> None:
    motion = Motion.empty()
    motion.add(_boxes((0, 0, 10, 10)))
    motion.predict(0.0)
    motion.predict(-3.0)
    np.testing.assert_array_equal(motion.boxes(), _boxes((0, 0, 10, 10)))


def test_a_shrinking_box_never_turns_inside_out() -> None:
    motion = Motion.empty()
    motion.add(_boxes((0, 0, 100, 100)))
    motion.predict(0.1)
    motion.measure(np.array([0]), _boxes((45, 45, 55, 55)))
    motion.predict(60.0)
    box = motion.boxes()[0]
    assert box[2] > box[0]
    assert box[3] > box[1]


def test_keep_forgets_the_rest() -> None:
    motion = Motion.empty()
    motion.add(_boxes((0, 0, 10, 10), (20, 20, 30, 30)))
    motion.keep(np.array([False, True]))
    assert len(motion) == 1
    np.testing.assert_array_equal(motion.boxes(), _boxes((20, 20, 30, 30)))
