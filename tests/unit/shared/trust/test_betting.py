"""E-values: by hand, at the boundary by simulation, and what an alarm takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import Monitor, certifying_bound, certifying_log_e, monitor_log_e
from secondlook.shared.trust.betting import (
    CERTIFYING_BETS,
    MAX_STARTS,
    RENEW_AUDITS,
    certifying_bets,
    monitor_bets,
    renewed_log_e,
)

ALPHA, DELTA = 0.01, 0.05


def misses(*counts: int) -> np.ndarray:
    return np.array(counts, np.int64)


def test_the_e_value_is_the_mean_of_the_products() -> None:
    audited = {0.02: (40, misses(0, 1)), 0.05: (10, misses(1, 2)), 1.0: (3, misses(0, 1))}
    bets = certifying_bets(0.02)
    expected = []
    for place in (0, 1):
        wealth = np.ones(CERTIFYING_BETS)
        for probability, (n, k) in audited.items():
            for loss in [1] * int(k[place]) + [0] * int(n - k[place]):
                wealth = wealth * (1 - bets * (loss - ALPHA) / probability)
        expected.append(math.log(wealth.mean()))
    found = certifying_log_e(audited, ALPHA, 0.02)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_bets_lie_where_no_factor_can_fall_to_zero() -> None:
    for least in (1e-4, 0.01, 1.0):
        bets = certifying_bets(least)
        assert (bets > 0).all()
        assert (bets < least).all()
    for alpha in (1e-4, 0.01, 0.3):
        bets = monitor_bets(alpha)
        assert (1 + bets * (0 - alpha) > 0).all()
    np.testing.assert_allclose(monitor_bets(ALPHA), np.geomspace(0.5, 60, 12))


def test_the_bound_is_the_rate_at_which_the_e_value_reaches_one_over_delta() -> None:
    audited = {0.01: (800, misses(0, 1, 4)), 0.03: (900, misses(0, 2, 3))}
    bound = certifying_bound(audited, DELTA, 0.01)
    assert (np.diff(bound) > 0).all()
    reached = certifying_log_e(audited, bound, 0.01)
    np.testing.assert_allclose(reached, -math.log(DELTA), rtol=1e-6)
    assert certifying_bound({}, DELTA, 0.01).tolist() == [1.0]


def test_the_certifying_bet_is_fair_at_the_boundary() -> None:
    # Two audit probabilities, frames that are lost with probability α: E grows beyond 1/δ with
    # probability δ at most, and its mean is 1.
    rng = np.random.default_rng(5)
    reached, values = 0, []
    for _ in range(1500):
        audited = {}
        for probability, frames in ((0.05, 4000), (0.2, 1000)):
            n = int(rng.binomial(frames, probability))
            audited[probability] = (n, misses(int(rng.binomial(n, ALPHA))))
        log_e = float(certifying_log_e(audited, ALPHA, 0.05)[0])
        values.append(math.exp(log_e))
        reached += log_e >= -math.log(DELTA)
    assert reached / 1500 <= DELTA
    assert np.mean(values) == pytest.approx(1.0, abs=0.15)


def test_the_monitor_counts_as_its_formula_says() -> None:
    rng = np.random.default_rng(2)
    losses = rng.random(700) < 0.02
    monitor = Monitor(ALPHA, 1e-9)
    bets = monitor_bets(ALPHA)
    wealth: list[np.ndarray] = []
    for number, lost in enumerate(losses):
        if number % RENEW_AUDITS == 0:
            wealth.append(np.ones(12))
        wealth = [w * (1 + bets * (float(lost) - ALPHA)) for w in wealth]
        monitor.add(bool(lost))
        if number % 97 == 0:
            invested = sum(w.mean() / ((j + 1) * (j + 2)) for j, w in enumerate(wealth))
            expected = invested + 1 / (len(wealth) + 1)
            assert monitor.e_value == pytest.approx(expected)


def test_the_monitor_is_fair_at_the_boundary_step_by_step() -> None:
    # The mean over both outcomes of the next audit, by their probabilities, is the value before:
    # a martingale at rate α, and below it a supermartingale.
    for n, k in ((0, 0), (10, 1), (249, 3), (3000, 40)):
        starts = np.arange(0, n + 1, RENEW_AUDITS)[:MAX_STARTS]
        before = renewed_log_e(n - starts, np.minimum(k, n - starts), ALPHA)

        def after(lost: int, n: int = n, k: int = k, starts: np.ndarray = starts) -> float:
            seen = np.minimum(k, n - starts) + lost
            return math.exp(float(renewed_log_e(n + 1 - starts, seen, ALPHA)))

        now = math.exp(float(before))
        assert (1 - ALPHA) * after(0) + ALPHA * after(1) == pytest.approx(now, rel=1e-9)
        lower = ALPHA / 2
        assert (1 - lower) * after(0) + lower * after(1) < now


def first_alarm(losses: np.ndarray, alpha: float = ALPHA) -> int | None:
    monitor = Monitor(alpha, DELTA)
    for number, lost in enumerate(losses, 1):
        if monitor.add(bool(lost)):
            return number
    return None


def test_false_alarms_are_rarer_than_delta() -> None:
    rng = np.random.default_rng(11)
    alarms = sum(first_alarm(rng.random(2000) < ALPHA) is not None for _ in range(200))
    assert alarms / 200 <= DELTA


@pytest.mark.parametrize(("rate", "least", "most"), [(0.05, 50, 180), (0.1, 10, 60)])
def test_too_many_losses_are_told_soon(rate: float, least: int, most: int) -> None:
    rng = np.random.default_rng(3)
    found = [first_alarm(rng.random(3000) < rate) for _ in range(60)]
    assert None not in found
    assert least < float(np.median([n for n in found if n is not None])) < most


def test_after_long_calm_an_alarm_comes_far_sooner_than_from_one_old_bet() -> None:
    rng = np.random.default_rng(4)
    ours, plain = [], []
    for _ in range(40):
        losses = np.r_[rng.random(4000) < 0.003, rng.random(6000) < 0.05]
        alarm = first_alarm(losses)
        assert alarm is not None
        ours.append(alarm - 4000)
        at = np.flatnonzero(losses) + 1
        log_e = monitor_log_e(at, np.arange(1, len(at) + 1), ALPHA)
        plain.append(int(at[np.flatnonzero(log_e >= -math.log(DELTA))[0]]) - 4000)
    assert np.median(ours) < 0.5 * np.median(plain)


def test_a_restart_forgets() -> None:
    monitor = Monitor(ALPHA, DELTA)
    assert [monitor.add(True) for _ in range(3)][-1]
    assert monitor.e_value >= 1 / DELTA
    monitor.restart()
    assert (monitor.audits, monitor.misses, monitor.e_value) == (0, 0, 1.0)
    assert not monitor.add(False)


def test_no_number_of_starts_is_too_many() -> None:
    monitor = Monitor(ALPHA, DELTA)
    for _ in range(RENEW_AUDITS * MAX_STARTS + 500):
        monitor.add(False)
    assert 0 < monitor.e_value < 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: Monitor(0.0, 0.05),
        lambda: Monitor(float("nan"), 0.05),
        lambda: Monitor(0.01, 1.0),
        lambda: certifying_log_e({0.005: (1, misses(0))}, 0.01, 0.01),
        lambda: certifying_log_e({float("nan"): (1, misses(0))}, 0.01, 0.01),
        lambda: certifying_log_e({}, 0.01, 0.0),
        lambda: certifying_bound({}, 0.0, 0.01),
    ],
)
def test_what_makes_no_sense_is_refused(call: object) -> None:
    with pytest.raises(InvalidInput):
        call()  # type: ignore[operator]
