from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.capture.timeline import Sampler, Timeline, plausible_fps


def times(timeline: Timeline, stamps: list[float | None]) -> list[float]:
    return [round(timeline.next(stamp), 6) for stamp in stamps]


def test_follows_the_timestamps_from_zero() -> None:
    assert times(Timeline(10.0), [5.0, 5.1, 5.25, 6.0]) == [0.0, 0.1, 0.25, 1.0]


def test_a_missing_timestamp_advances_by_a_period() -> None:
    assert times(Timeline(10.0), [None, None, None]) == [0.0, 0.1, 0.2]


def test_timestamps_go_on_after_missing_ones() -> None:
    assert times(Timeline(10.0), [1.0, 1.1, None, 1.3]) == [0.0, 0.1, 0.2, 0.3]


def test_timestamps_may_begin_late() -> None:
    assert times(Timeline(10.0), [None, 7.0, 7.2]) == [0.0, 0.1, 0.3]


def test_a_timestamp_out_of_order_repeats_the_last_time() -> None:
    assert times(Timeline(10.0), [0.0, 0.2, 0.1, 0.3]) == [0.0, 0.2, 0.2, 0.3]


def test_restarted_timestamps_go_on() -> None:
    assert times(Timeline(10.0), [50.0, 50.1, 0.0, 0.1]) == [0.0, 0.1, 0.2, 0.3]


def test_an_absurd_jump_is_the_next_frame() -> None:
    assert times(Timeline(10.0), [0.0, 0.1, 9e5, 9e5 + 0.125]) == [0.0, 0.1, 0.2, 0.325]


def test_an_untrusted_header_spaces_frames_evenly() -> None:
    assert times(Timeline(5.0, trust=False), [0.0, 7.0, 3.0]) == [0.0, 0.2, 0.4]


@given(
    st.lists(
        st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([0.0, 0.5, 25.0, 240.0]),
)
def test_never_goes_back_and_is_always_finite(stamps: list[float | None], fps: float) -> None:
    timeline = Timeline(fps)
    result = [timeline.next(stamp) for stamp in stamps]
    assert result[0] == 0.0
    assert all(math.isfinite(t) for t in result)
    assert result == sorted(result)


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf, 1e9, None])
def test_an_implausible_rate_counts_as_unknown(fps: float | None) -> None:
    assert plausible_fps(fps) == 0.0


def test_a_plausible_rate_stands() -> None:
    assert plausible_fps(29.97) == 29.97


def test_every_frame_is_taken_without_a_rate() -> None:
    sampler = Sampler(0.0)
    assert all(sampler.take(0.0) for _ in range(5))


def test_takes_the_first_frame_of_each_period() -> None:
    sampler = Sampler(3.0)
    taken = [i for i in range(31) if sampler.take(i / 10)]
    assert taken == [0, 4, 7, 10, 14, 17, 20, 24, 27, 30]


@pytest.mark.parametrize(
    ("fps", "rate", "every"), [(60, 3, 20), (30, 5, 6), (25, 5, 5), (10, 1, 10)]
)
def test_a_whole_ratio_takes_every_nth_frame(fps: int, rate: int, every: int) -> None:
    sampler = Sampler(rate)
    taken = [i for i in range(1000) if sampler.take(i / fps)]
    assert taken == list(range(0, 1000, every))


def test_a_rate_above_the_streams_takes_every_frame() -> None:
    sampler = Sampler(50.0)
    assert all(sampler.take(i / 10) for i in range(100))


@given(st.floats(0.1, 30), st.floats(1, 240), st.integers(10, 400))
def test_the_rate_is_kept(rate: float, fps: float, count: int) -> None:
    sampler = Sampler(rate)
    taken = sum(sampler.take(i / fps) for i in range(count))
    expected = min(count, math.floor((count - 1) / fps * rate) + 1)
    assert abs(taken - expected) <= 1
