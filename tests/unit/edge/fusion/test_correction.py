"""What a verdict put right once stays put right along the track."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.edge.fusion.correction import NO_CORRECTION, corrected, correction

EDGE = np.array([10, 20, 30, 60], np.float32)
CLOUD = np.array([8, 20, 34, 50], np.float32)


def test_on_the_same_box_it_gives_the_clouds() -> None:
    np.testing.assert_allclose(corrected(EDGE, correction(EDGE, CLOUD)), CLOUD, rtol=1e-6)


def test_it_moves_and_grows_with_the_box() -> None:
    twice = 2 * EDGE + np.float32(100)
    moved = corrected(twice, correction(EDGE, CLOUD))
    np.testing.assert_allclose(moved, 2 * CLOUD + 100, rtol=1e-6)


def test_nothing_to_correct_changes_nothing() -> None:
    assert corrected(EDGE, NO_CORRECTION).tolist() == EDGE.tolist()
    assert correction(EDGE, EDGE).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("flat", [[5, 5, 5, 9], [5, 5, 9, 5], [5, 5, 5, 5]])
def test_a_box_without_an_area_is_left_alone(flat: list[float]) -> None:
    box = np.array(flat, np.float32)
    assert correction(box, CLOUD).tolist() == [0, 0, 0, 0]
    assert np.isfinite(corrected(box, correction(EDGE, CLOUD))).all()


def test_sides_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        edge, cloud, later = (
            np.concatenate([corner, corner + rng.uniform(0, 50, 2)]).astype(np.float32)
            for corner in rng.uniform(0, 100, (3, 2))
        )
        x1, y1, x2, y2 = corrected(later, correction(edge, cloud))
        assert x2 >= x1 - 1e-3
        assert y2 >= y1 - 1e-3
