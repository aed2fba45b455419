from __future__ import annotations

import numpy as np
import pytest

from secondlook.cloud.prefetch.company import Company
from secondlook.cloud.prefetch.daytime import Daytime
from secondlook.cloud.prefetch.history import QUIET_S, History


def schedule(*times_s: float) -> History:
    history = History()
    history.clear(0, 0.0)
    for at_s in times_s:
        history.asked(0, at_s)
    return history


def test_requests_close_to_each_other_are_one_visit() -> None:
    history = History()
    history.clear(0, 0.0)
    assert history.asked(0, 10.0) == -np.inf
    assert history.asked(0, 10.0 + QUIET_S) is None
    assert history.asked(0, 30.0) == 10.0
    assert history.asks[0] == 3
    assert history.start_s[0] == 30.0


def test_a_clock_is_certain_of_its_next_stroke_and_of_nothing_before() -> None:
    history = schedule(*(60.0 * n for n in range(21)))
    prior, horizon = np.array([0.1]), np.array([10.0])
    assert history.hazard(1200 + 30.0, horizon, prior)[0] < 0.05
    assert history.hazard(1200 + 55.0, horizon, prior)[0] > 0.9
    # Overdue: no interval was that long, nothing is known beyond the usual.
    assert history.hazard(1200 + 61.0, horizon, prior)[0] == pytest.approx(0.1)


def test_chance_is_as_probable_whenever_it_last_came() -> None:
    rng = np.random.default_rng(0)
    history = schedule(*np.cumsum(rng.exponential(50.0, 400)))
    last_s = float(history.start_s[0])
    prior, horizon = np.array([0.33]), np.array([20.0])
    early, late = (history.hazard(last_s + s, horizon, prior)[0] for s in (2.0, 30.0))
    assert early == pytest.approx(0.33, abs=0.2)
    assert late == pytest.approx(0.33, abs=0.2)


def test_rates_follow_what_happens_and_are_never_nothing() -> None:
    history = schedule(*(10.0 * n for n in range(1, 400)))
    lately, usually = history.rates(3990.0)[0]
    assert lately == pytest.approx(0.1, rel=0.15)
    assert usually == pytest.approx(0.1, rel=0.6)
    assert 0 < history.rates(3990.0 + 1e5)[0, 0] < 0.001


def test_a_row_used_again_remembers_nothing() -> None:
    history = schedule(*(60.0 * n for n in range(21)))
    history.clear(0, 2000.0)
    assert history.asks[0] == 0
    assert history.hazard(2000.0, np.array([1e6]), np.array([0.25]))[0] == 0.25


def test_a_follower_is_announced_until_it_came() -> None:
    company = Company()
    start_s = np.array([-np.inf, -np.inf])
    prior, horizon = np.array([0.05, 0.05]), np.array([8.0, 8.0])

    def visit(row: int, at_s: float) -> None:
        company.visited(row, at_s, float(start_s[row]))
        start_s[row] = at_s

    for n in range(12):
        visit(0, 100.0 * n)
        visit(1, 100.0 * n + 20)
    visit(0, 1200.0)
    assert company.hazard(1201.0, horizon, prior, start_s)[1] < 0.1  # it comes after 20 s
    assert company.hazard(1215.0, horizon, prior, start_s)[1] > 0.9
    visit(1, 1220.0)
    assert company.hazard(1221.0, horizon, prior, start_s)[1] == 0.05


def test_a_follower_that_stays_away_is_announced_less() -> None:
    company = Company()
    start_s = np.array([-np.inf, -np.inf])
    prior, horizon = np.array([0.05, 0.05]), np.array([30.0, 30.0])
    shares = []
    for n in range(40):
        company.visited(0, 100.0 * n, float(start_s[0]))
        start_s[0] = 100.0 * n
        shares.append(company.hazard(100.0 * n + 1, horizon, prior, start_s)[1])
        if n < 20:
            company.visited(1, 100.0 * n + 20, float(start_s[1]))
            start_s[1] = 100.0 * n + 20
    assert shares[20] > 0.9
    assert shares[39] < 0.2


def test_pairs_are_bounded_and_the_one_unused_longest_goes() -> None:
    company = Company(bound=3)
    at_s = 0.0
    for row in range(1, 6):
        company.visited(0, at_s, -np.inf)
        company.visited(row, at_s + 5, -np.inf)
        at_s += 1000.0
    prior, horizon = np.full(6, 0.01), np.full(6, 10.0)
    company.visited(0, at_s, -np.inf)
    found = company.hazard(at_s + 1, horizon, prior, np.full(6, -np.inf))
    assert (found[1:3] == 0.01).all()
    assert (found[3:] > 0.1).all()


def test_what_is_forgotten_announces_nothing() -> None:
    company = Company()
    for n in range(5):
        company.visited(0, 100.0 * n, 100.0 * n - 80)
        company.visited(1, 100.0 * n + 20, 100.0 * n - 80)
    company.forget(0)
    prior = np.array([0.05, 0.05])
    assert (company.hazard(430.0, np.array([99.0, 99.0]), prior, np.zeros(2)) == prior).all()


def test_the_time_of_the_day_tells_from_the_second_day_on() -> None:
    daytime = Daytime(day_s=4800.0)
    daytime.clear(0)
    usual = np.array([0.01])
    for day in range(3):
        for n in range(20):
            daytime.visited(0, 4800.0 * day + 2400 + 10 * n)
        if day == 0:
            assert daytime.expected(1, 2500.0, usual)[0] == 0.01
    # Parts are 100 s: two parts with one visit in 10 s, none elsewhere.
    assert daytime.expected(1, 3 * 4800 + 2450.0, usual)[0] > 0.05
    assert daytime.expected(1, 3 * 4800 + 600.0, usual)[0] < 0.01
