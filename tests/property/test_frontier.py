"""The price of quality: what must hold whatever points were measured."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import needed, upper_hull

points = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 1).map(lambda f1: round(f1, 4))),
    min_size=1,
    max_size=12,
)


@given(points)
def test_a_hull_rises_bends_down_and_lies_above_all_points(measured) -> None:
    hull = upper_hull(measured)
    assert set(hull) <= set(measured)
    for (kb, low), (next_kb, high) in itertools.pairwise(hull):
        assert kb < next_kb
        assert low < high
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(hull)]
    assert all(a >= b * (1 - 1e-9) for a, b in itertools.pairwise(slopes))
    for kb, f1 in measured:
        found = needed(measured, f1)
        assert found.kb is not None
        assert found.kb <= kb * (1 + 1e-9) + 1e-12


@given(points, st.floats(0, 1), st.floats(0, 1))
def test_more_quality_never_costs_less(measured, one: float, other: float) -> None:
    low, high = sorted((one, other))
    cheap, dear = needed(measured, low), needed(measured, high)
    if dear.kb is not None:
        assert cheap.kb is not None
        assert cheap.kb <= dear.kb * (1 + 1e-9)


@given(points, st.floats(0, 1), st.tuples(st.floats(0, 100), st.floats(0, 1)))
def test_one_more_point_never_makes_it_dearer(measured, f1: float, more) -> None:
    before, after = needed(measured, f1), needed([*measured, more], f1)
    # Below the cheapest point only a bound is known, and a new cheapest one may lower it.
    if before.kb is not None:
        assert after.kb is not None
        assert after.kb <= before.kb * (1 + 1e-9) + 1e-12


def test_between_two_points_it_is_a_straight_line() -> None:
    measured = [(1.0, 0.8), (3.0, 0.9), (2.5, 0.81)]
    assert needed(measured, 0.85).kb == pytest.approx(2.0)
    assert needed(measured, 0.9).kb == 3.0
    assert not needed(measured, 0.8).at_most


def test_what_no_point_reaches_is_not_made_up() -> None:
    measured = [(1.0, 0.8), (3.0, 0.9)]
    assert needed(measured, 0.901).kb is None
    below = needed(measured, 0.5)
    assert (below.kb, below.at_most) == (1.0, True)
    assert needed([], 0.5).kb is None
    assert upper_hull([]) == []


@pytest.mark.parametrize("bad", [(math.nan, 0.5), (1.0, math.inf)])
def test_points_that_are_not_finite_are_refused(bad) -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        needed([(1.0, 0.5), bad], 0.5)
