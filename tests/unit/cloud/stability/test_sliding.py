from __future__ import annotations

import math

import numpy as np
import pytest

from secondlook.cloud.stability.sliding import Sliding, quantile

INF = math.inf


def test_the_window_is_what_was_added_in_it() -> None:
    window: Sliding[str] = Sliding(3.0)
    assert window.grown() == {}
    assert window.seconds == 0.0
    for second, count in enumerate((10, 11, 13, 20, 20)):
        window.put(float(second), {"a": count})
    assert window.seconds == 3.0
    assert window.grown() == {"a": 9.0}
    assert window.highest() == {"a": 20}


def test_a_window_longer_than_the_pause_covers_at_least_its_length() -> None:
    window: Sliding[str] = Sliding(2.5)
    for second in range(10):
        window.put(float(second), {"a": second})
    assert window.seconds == 3.0


def test_a_pause_longer_than_the_window_is_the_window() -> None:
    window: Sliding[str] = Sliding(1.0)
    for second in (0, 5, 10):
        window.put(float(second), {"a": second})
    assert window.grown() == {"a": 5.0}


def test_what_is_new_or_began_anew_or_is_gone() -> None:
    window: Sliding[str] = Sliding(10.0)
    window.put(0.0, {"reset": 100, "gone": 5})
    window.put(1.0, {"reset": 3, "new": 7})
    assert window.grown() == {"reset": 3, "new": 7}


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 10, 10, 10], 0.5, 1.5),
        ([10, 10, 10, 10], 0.5, 0.5),
        ([5, 10, 10, 10], 0.75, 1.5),
        ([0, 0, 0, 10], 0.5, 4.0),
        ([0, 0, 10, 10], 0.99, 2 + 2 * 0.99),
    ],
)
def test_quantiles_are_linear_within_a_bucket(
    counts: list[float], share: float, expected: float
) -> None:
    assert quantile([1, 2, 4, INF], counts, share) == pytest.approx(expected)


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(quantile([], [], 0.5))
    assert math.isnan(quantile([1, INF], [0, 0], 0.5))


def test_quantiles_are_as_near_as_the_buckets_allow() -> None:
    values = np.random.default_rng(3).gamma(2.0, 0.05, 5000)
    bounds = [*np.arange(0.01, 1.0, 0.01), INF]
    counts = [float((values <= bound).sum()) for bound in bounds]
    for share in (0.5, 0.95, 0.99):
        assert quantile(bounds, counts, share) == pytest.approx(
            float(np.quantile(values, share)), abs=0.01
        )
