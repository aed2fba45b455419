"""Counts, the walk over thresholds, certificates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import (
    AuditCoin,
    AuditCounts,
    Basis,
    Certificate,
    ThresholdTracker,
    certify,
    clopper_pearson,
    estimates,
    walk,
)

GRID = (0.0, 0.1, 0.2, 0.5, 1.0)
BASIS = Basis("gate-1", "heavy", "7")


def counted(frames: int, audits: int, misses: tuple[int, ...], q: float = 0.01) -> AuditCounts:
    counts = AuditCounts(GRID)
    counts.saw(q, frames)
    counts.add(q, audits, np.array(misses))
    return counts


def proof(counts: AuditCounts) -> Certificate:
    return certify(
        counts,
        alpha=0.01,
        delta=0.05,
        basis=BASIS,
        cameras=("yard/gate",),
        started_s=10.0,
        ended_s=20.0,
    )


def test_an_audit_counts_as_lost_at_every_threshold_above_its_lowest_risk() -> None:
    counts = AuditCounts(GRID)
    counts.saw(0.5, 10)
    for risk in (0.0, 0.1, 0.15, 0.7, math.inf, 1.0):
        counts.looked(0.5, risk)
    # Asked is what has the threshold's risk or more, so a risk of 0.1 is put right at 0.1.
    assert counts.misses.tolist() == [0, 1, 3, 3, 4]
    assert (counts.frames, counts.audits, counts.accepted, counts.known) == (10, 6, 10, 0)
    assert counts.misses_at(0.0) == 0
    assert counts.misses_at(0.19) == 1
    assert counts.misses_at(0.2) == 3


def test_frames_that_are_looked_at_in_any_case_are_known() -> None:
    counts = AuditCounts(GRID)
    counts.saw(0.01, 1000)
    counts.saw(1.0, 20)
    counts.looked(1.0, 0.05)
    assert (counts.frames, counts.accepted, counts.known, counts.known_looks) == (1020, 1000, 20, 1)
    assert counts.known_misses.tolist() == [0, 1, 1, 1, 1]
    assert counts.audits == 0
    assert counts.probability == 0.01
    with pytest.raises(InvalidInput, match="19 of the frames looked at have no outcome"):
        walk(counts, 0.01, 0.05)


def test_the_walk_stops_at_the_first_threshold_that_fails() -> None:
    found = walk(counted(100_000, 1000, (0, 2, 9, 9, 9)), 0.01, 0.05)
    assert found.index == 1
    assert found.method == "clopper-pearson"
    np.testing.assert_allclose(found.bounds[1:], clopper_pearson([2, 9, 9, 9], 1000, 0.05))
    np.testing.assert_allclose(found.estimates, [0, 0.002, 0.009, 0.009, 0.009])


def test_known_misses_count_with_the_bound() -> None:
    counts = counted(90_000, 900, (0, 1, 1, 1, 1))
    counts.saw(1.0, 10_000)
    counts.add(1.0, 10_000, np.array([0, 100, 200, 700, 700]))
    found = walk(counts, 0.01, 0.05)
    upper = float(clopper_pearson(1, 900, 0.05))
    known = np.array([100, 200, 700, 700])
    expected = (90_000 * upper + known) / 100_000
    np.testing.assert_allclose(found.bounds[1:], expected)
    assert found.index == int((expected <= 0.01).sum())


def test_the_certificate_says_what_it_rests_on() -> None:
    found = proof(counted(100_000, 1000, (0, 0, 2, 30, 30)))
    assert found.tau == 0.2
    assert found.bound == pytest.approx(float(clopper_pearson(2, 1000, 0.05)))
    assert found.bound <= found.alpha
    assert (found.frames, found.audits, found.misses, found.known_misses) == (100_000, 1000, 2, 0)
    assert found.cameras == ("yard/gate",)
    assert not found.sends_all
    with pytest.raises(AttributeError):
        found.tau = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("audits", [0, 1, 298])
def test_few_audits_certify_nothing_but_sending_everything(audits: int) -> None:
    found = proof(counted(100_000, audits, (0,) * 5))
    assert found.sends_all
    assert (found.tau, found.bound) == (0.0, 0.0)


def test_299_audits_without_a_miss_are_enough() -> None:
    assert proof(counted(100_000, 299, (0,) * 5)).tau == 1.0


def test_an_empty_window_certifies_nothing() -> None:
    assert proof(AuditCounts(GRID)).sends_all
    assert np.isnan(estimates(AuditCounts(GRID))).all()
    assert np.isnan(estimates(counted(100, 0, (0,) * 5))).all()


def test_audits_of_several_probabilities_are_bet_upon() -> None:
    counts = counted(60_000, 600, (0, 0, 0, 20, 20))
    counts.saw(0.03, 20_000)
    counts.add(0.03, 600, np.array([0, 0, 1, 30, 30]))
    found = walk(counts, 0.01, 0.05)
    assert found.method == "betting"
    assert found.index == 2
    assert (found.bounds[1:3] <= 0.01).all()
    assert found.bounds[3] > 0.01
    # Weighted by how many frames each audit stands for.
    assert found.estimates[3] == pytest.approx((20 / 0.01 + 30 / 0.03) / 80_000)


def test_where_every_frame_is_audited_all_is_known() -> None:
    counts = AuditCounts(GRID)
    counts.saw(1.0, 1000)
    counts.add(1.0, 1000, np.array([0, 5, 10, 11, 40]))
    found = walk(counts, 0.01, 0.05)
    assert found.bounds.tolist() == [0, 0.005, 0.01, 0.011, 0.04]
    assert found.index == 2


def test_another_basis_is_told_in_words() -> None:
    assert BASIS.differs(BASIS) == ""
    assert BASIS.differs(Basis("gate-2", "heavy", "8")) == (
        "gate was gate-1, is gate-2; model version was 7, is 8"
    )
    with pytest.raises(InvalidInput, match="model"):
        replace(BASIS, model="")


NAN, INF = float("nan"), math.inf


@pytest.mark.parametrize("risk", [NAN, -0.1, -INF, 1.5, 1e300, "0.5", None, True])
def test_outcomes_that_make_no_sense_are_refused(risk: object) -> None:
    counts = AuditCounts(GRID)
    counts.saw(0.5)
    with pytest.raises(InvalidInput, match="lowest risk"):
        counts.looked(0.5, risk)  # type: ignore[arg-type]
    assert counts.audits == 0


@pytest.mark.parametrize("probability", [0, -0.1, 1.1, NAN, INF, "1", None, True])
def test_probabilities_that_make_no_sense_are_refused(probability: object) -> None:
    counts = AuditCounts(GRID)
    with pytest.raises(InvalidInput, match="probability"):
        counts.saw(probability)  # type: ignore[arg-type]
    assert counts.frames == 0


@pytest.mark.parametrize(
    ("audits", "misses"),
    [
        (5, [0, 0, 0, 0]),
        (5, [0, 2, 1, 2, 2]),
        (5, [0, 0, 0, 0, 6]),
        (5, [-1, 0, 0, 0, 0]),
        (-1, [0, 0, 0, 0, 0]),
        (11, [0, 0, 0, 0, 0]),
        (5, [0.0, 0.5, 1.0, 1.0, 1.0]),
        (5, [[0, 0, 0, 0, 0]]),
    ],
)
def test_counts_that_contradict_each_other_are_refused(audits: int, misses: list[float]) -> None:
    counts = AuditCounts(GRID)
    counts.saw(0.5, 10)
    with pytest.raises(InvalidInput):
        counts.add(0.5, audits, misses)
    assert counts.audits == 0


@pytest.mark.parametrize(
    "grid", [(), (0.0,), (0.1, 0.2), (0.0, 0.0), (0.0, 0.5, 0.4), (0.0, NAN), (0.0, 1.1)]
)
def test_thresholds_that_make_no_sense_are_refused(grid: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="thresholds"):
        AuditCounts(grid)


def test_too_many_probabilities_are_refused() -> None:
    counts = AuditCounts(GRID)
    for number in range(64):
        counts.saw((number + 1) / 100)
    with pytest.raises(InvalidInput, match="64"):
        counts.saw(0.999)


# The coin and the tracker


def test_the_coin_is_fair_and_the_same_in_every_replay() -> None:
    coin = AuditCoin(7, "yard/gate")
    thrown = np.array([coin.throw(n) for n in range(20_000)])
    assert thrown.min() >= 0
    assert thrown.max() < 1
    assert abs(thrown.mean() - 0.5) < 0.01
    assert abs((thrown < 0.01).mean() - 0.01) < 0.003
    assert abs(np.corrcoef(thrown[1:], thrown[:-1])[0, 1]) < 0.03
    again = AuditCoin(7, "yard/gate")
    assert [again.throw(n) for n in range(50)] == thrown[:50].tolist()
    assert AuditCoin(8, "yard/gate").throw(0) != thrown[0]
    assert AuditCoin(7, "yard/door").throw(0) != thrown[0]


def test_the_coin_keeps_to_the_probability() -> None:
    coin = AuditCoin(1, "c")
    assert not any(coin.audits(n, 0.0) for n in range(100))
    assert all(coin.audits(n, 1.0) for n in range(100))
    # What is audited at 1 % is audited at 5 % too: a raised rate only adds.
    few = {n for n in range(2000) if coin.audits(n, 0.01)}
    assert few < {n for n in range(2000) if coin.audits(n, 0.05)}
    for probability in (-0.1, 1.1, NAN):
        with pytest.raises(InvalidInput, match="probability"):
            coin.audits(0, probability)


@pytest.mark.parametrize("seed", [None, -1, 1.5, "7", True])
def test_a_coin_without_seed_is_refused(seed: object) -> None:
    with pytest.raises(InvalidInput, match="seed of the audit coin"):
        AuditCoin(seed, "yard/gate")  # type: ignore[arg-type]


def test_the_tracker_settles_where_losses_come_at_the_promised_rate() -> None:
    rng = np.random.default_rng(0)
    tracker = ThresholdTracker(1.0, 0.1, 0.005)
    lost = []
    for _ in range(20_000):
        # A frame whose loss probability is its threshold's square.
        lost.append(bool(rng.random() < tracker.tau**2))
        tracker.add(lost[-1], 0.5)
    assert np.mean(lost[2000:]) == pytest.approx(0.1, abs=0.01)


def test_the_tracker_steps_as_told_and_stays_in_its_range() -> None:
    tracker = ThresholdTracker(0.5, 0.01, 0.005)
    tracker.add(False, 0.01)
    assert tracker.tau == pytest.approx(0.505)
    tracker.add(True, 0.01)
    assert tracker.tau == pytest.approx(0.01)
    tracker.add(True, 0.01)
    assert tracker.tau == 0.0
    tracker.restart(1.0)
    tracker.add(False, 0.01)
    assert tracker.tau == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: ThresholdTracker(NAN, 0.01, 0.005),
        lambda: ThresholdTracker(1.1, 0.01, 0.005),
        lambda: ThresholdTracker(0.5, 0.0, 0.005),
        lambda: ThresholdTracker(0.5, 0.01, 0.0),
        lambda: ThresholdTracker(0.5, 0.01, INF),
        lambda: ThresholdTracker(0.5, 0.01, 0.005).add(True, 0.0),
        lambda: ThresholdTracker(0.5, 0.01, 0.005).add(True, NAN),
    ],
)
def test_a_tracker_that_makes_no_sense_is_refused(call: object) -> None:
    with pytest.raises(InvalidInput):
        call()  # type: ignore[operator]
