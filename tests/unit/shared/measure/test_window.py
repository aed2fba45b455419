"""The most that passed within any stretch of time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.shared.measure import Passed, most_within


def test_a_burst_across_the_minute_is_found() -> None:
    passed = [Passed(0.0, 5), Passed(59.0, 10), Passed(61.0, 20), Passed(118.9, 1)]
    assert most_within(passed, 60.0) == 31
    assert most_within(passed, 1.0) == 20
    assert most_within([], 60.0) == 0


def test_the_end_of_a_stretch_is_not_in_it() -> None:
    assert most_within([Passed(0.0, 1), Passed(60.0, 1)], 60.0) == 1


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 9)), max_size=20), st.floats(0.1, 20))
def test_it_is_the_most_of_all_stretches(items, seconds: float) -> None:
    passed = [Passed(at_s, size) for at_s, size in sorted(items)]
    times = np.array([item.at_s for item in passed])
    sizes = np.array([item.size for item in passed], int)
    # A stretch that begins at something that passed is as good as any.
    best = max((int(sizes[(times >= t) & (times - t < seconds)].sum()) for t in times), default=0)
    assert most_within(passed, seconds) == best
