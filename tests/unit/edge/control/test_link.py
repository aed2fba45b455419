"""The link as measured, forecasts, and what they mean for a deadline."""

from __future__ import annotations

import math
import random

import pytest

from secondlook.edge.control import CloudCost, Forecast, Link, offload
from secondlook.edge.control.link import RoundTrip, Tail
from secondlook.shared.errors import InvalidInput


def test_round_trips_follow_rfc_6298() -> None:
    trip = RoundTrip()
    assert trip.bound_s == 0
    trip.measured(0.1)
    assert (trip.srtt_s, trip.rttvar_s) == (0.1, 0.05)
    assert trip.bound_s == pytest.approx(0.3)
    trip.measured(0.2)
    assert trip.srtt_s == pytest.approx(0.1125)
    assert trip.rttvar_s == pytest.approx(0.75 * 0.05 + 0.25 * 0.1)


def test_the_tail_is_a_percentile_of_the_last_ones() -> None:
    tail = Tail()
    assert tail.value == 0
    for number in range(100):
        tail.add(number)
    assert tail.value == 94
    tail.add(math.nan)
    assert tail.value == 94
    for _ in range(200):
        tail.add(1.0)
    assert tail.value == 1.0


def test_bandwidth_and_round_trip_are_told_apart_by_size() -> None:
    link, draw = Link(), random.Random(1)
    for _ in range(60):
        size = draw.choice((1000, 4000, 20_000))
        link.answered(size, size / 50_000 + 0.08 + 0.12, 0.12)
    assert link.bandwidth == pytest.approx(50_000, rel=0.05)
    assert link.round_trip.srtt_s == pytest.approx(0.08, rel=0.1)
    assert link.cloud_s == pytest.approx(0.12)
    forecast = link.forecast(10_000, ahead_bytes=5000, encode_s=0.01)
    assert forecast is not None
    assert forecast.expected_s == pytest.approx(0.01 + 0.3 + 0.08 + 0.12, rel=0.05)


def test_the_bandwidth_is_a_harmonic_mean_so_that_slow_moments_count() -> None:
    link = Link()
    for took_s in (0.1, 0.1, 0.1, 1.0) * 2:
        link.answered(10_000, took_s, 0.0)
    assert link.bandwidth is not None
    fast, slow = 10_000 / 0.1, 10_000 / 1.0
    assert link.bandwidth < (3 * fast + slow) / 4
    assert slow < link.bandwidth < fast


def test_95_of_100_stay_below_the_forecast() -> None:
    link, draw, below = Link(), random.Random(7), 0
    for number in range(1000):
        size = draw.randint(500, 8000)
        took_s = 0.05 + size / 40_000 + draw.expovariate(20)
        forecast = link.forecast(size)
        if number >= 200 and forecast is not None:
            below += took_s <= forecast.p95_s
        link.answered(size, took_s, 0.02)
    assert below / 800 == pytest.approx(0.95, abs=0.03)


def test_the_roofline_stands_in_until_an_inference_was_timed() -> None:
    cost = CloudCost(28e9, 60e6, 30e12, 900e9, 0.35, 0.6, 0.004)
    assert cost.service_s == pytest.approx(28e9 / (0.35 * 30e12) + 0.004)
    memory_bound = CloudCost(1e9, 600e6, 30e12, 900e9, 0.35, 0.6, 0.004)
    assert memory_bound.service_s == pytest.approx(600e6 / (0.6 * 900e9) + 0.004)
    link = Link(cost)
    assert link.cloud_s == cost.service_s
    assert link.forecast(1000) is None
    link.answered(1000, 0.5, 0.3)
    assert link.cloud_s == 0.3


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_nonsense_is_refused_and_a_question_of_nothing_tells_nothing(bad: float) -> None:
    link = Link()
    for sizes in ((bad, 1.0, 0.0), (1.0, bad, 0.0), (1.0, 1.0, bad)):
        with pytest.raises(InvalidInput):
            link.answered(*sizes)
    link.answered(0, 1.0, 0.0)
    assert link.bandwidth is None


def test_offload_for_the_answer_only_where_the_tail_fits() -> None:
    assert offload(None, 0.1).in_time
    assert offload(Forecast(0.1, 0.19), 0.2).in_time
    late = offload(Forecast(0.1, 0.4), 0.2)
    assert not late.in_time
    assert "0.4 s, beyond the 0.2 s" in late.reason
