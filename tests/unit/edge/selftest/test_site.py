"""The self-test of a site, on simulated sites and audit by audit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.edge.selftest import Mode, SelftestSettings, SiteTest
from secondlook.edge.selftest.bounds import Mean, difference
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import SiteMode

ALL = tuple(Mode)
Dice = np.random.Generator


@dataclass
class Site:
    """A site.

    Attributes:
        frame: draws how well the edge alone and the gate agree about a frame.
        costs: what each way sends, bytes a second.
        full: how well whole frames agree.
    """

    frame: Callable[[Dice], tuple[float, float]]
    costs: dict[Mode, float]
    full: float = 0.98


def _shares(edge: float, gate: float, objects: int) -> Callable[[Dice], tuple[float, float]]:
    """Each object is lost by the edge, and then not put right by the gate, by itself."""

    def draw(dice: Dice) -> tuple[float, float]:
        lost = dice.random(objects) > edge
        kept = dice.random(objects) > (gate - edge) / (1 - edge)
        still = lost & kept
        return 1 - lost.mean(), 1 - still.mean()

    return draw


AGREES = Site(lambda dice: (1.0, 1.0), {Mode.MOSAIC: 2000, Mode.CANVAS: 2500, Mode.FULL: 20_000})
SPARSE = Site(_shares(0.9, 0.97, 2), {Mode.MOSAIC: 1500, Mode.CANVAS: 4000, Mode.FULL: 40_000})
CROWDED = Site(
    _shares(0.75, 0.95, 20), {Mode.MOSAIC: 70_000, Mode.CANVAS: 18_000, Mode.FULL: 60_000}
)
RESTLESS = Site(
    _shares(0.6, 0.62, 8), {Mode.MOSAIC: 90_000, Mode.CANVAS: 30_000, Mode.FULL: 35_000}
)
SITES = {
    "agrees": (AGREES, Mode.EDGE),
    "sparse": (SPARSE, Mode.MOSAIC),
    "crowded": (CROWDED, Mode.CANVAS),
    "restless": (RESTLESS, Mode.FULL),
}


def _live(
    test: SiteTest,
    site: Site,
    audits: int,
    *,
    seed: int = 0,
    budget: float = math.inf,
    at_s: float = 0.0,
) -> list[Mode]:
    """So many audits, one every 100 seconds; the way in force after each."""
    dice = np.random.default_rng(seed)
    modes = []
    for mode, sent in site.costs.items():
        test.cost(mode, sent)
    for n in range(audits):
        edge, gated = site.frame(dice)
        test.audited(edge, gated, at_s + 100 * n)
        if test.wants_twice(budget):
            test.looked_twice(edge, gated, site.full)
        modes.append(test.decide(at_s + 100 * n, budget))
    return modes


def _patient(**more: object) -> SelftestSettings:
    return SelftestSettings.model_validate({"retest_s": 1e7, **more})


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("seed", range(3))
def test_each_site_gets_what_suits_it(name: str, seed: int) -> None:
    site, wanted = SITES[name]
    test = SiteTest(_patient(), ALL)
    modes = _live(test, site, 600, seed=seed)
    assert modes[-1] is wanted, test.reasons
    assert test.reasons
    # Once it has found it, it stays.
    found = modes.index(wanted)
    assert set(modes[found:]) == {wanted}
    assert test.changes == len(test.take_changes())
    assert test.take_changes() == []


def _some_site(dice: Dice) -> tuple[Site, dict[Mode, float]]:
    """A site drawn at random, and what each way is truly worth there."""
    objects = int(dice.integers(1, 12))
    edge = float(dice.uniform(0.4, 0.98))
    gate = edge + (1 - edge) * float(dice.uniform(0, 1))
    full = float(dice.uniform(0.7, 1.0))
    canvas = float(dice.uniform(500, 30_000))
    costs = {
        Mode.MOSAIC: canvas * float(dice.uniform(0.5, 3)),
        Mode.CANVAS: canvas,
        Mode.FULL: canvas * float(dice.uniform(0.8, 6)),
    }
    agree = {Mode.EDGE: edge, Mode.MOSAIC: gate, Mode.CANVAS: gate, Mode.FULL: full}
    price = SelftestSettings().price / 1000
    truth = {mode: value - price * costs.get(mode, 0.0) for mode, value in agree.items()}
    return Site(_shares(edge, gate, objects), costs, full), truth


def test_sites_get_no_less_than_from_the_simplest_choice() -> None:
    """Sites drawn at random, 500 audits each, against the better of edge alone and full stream."""
    dice = np.random.default_rng(5)
    gains = []
    for seed in range(24):
        site, truth = _some_site(dice)
        test = SiteTest(_patient(min_audits=50), ALL)
        mode = _live(test, site, 500, seed=seed)[-1]
        gains.append(truth[mode] - max(truth[Mode.EDGE], truth[Mode.FULL]))
    # Less than that 500 audits cannot tell with the certainty that is asked for.
    assert min(gains) >= -0.08
    assert np.mean(gains) >= 0.02, "and by and large it is better than either, chosen afterwards"


def test_the_reason_is_on_record() -> None:
    test = SiteTest(_patient(), ALL)
    _live(test, AGREES, 600)
    change = test.take_changes()[-1]
    assert change.after is Mode.EDGE
    assert change.reasons == test.reasons
    text = " | ".join(test.reasons)
    assert "beside the edge alone" in text
    assert "audits; the edge alone agrees by 1.000" in text
    assert "canvas: agreement +0.000" in text


def test_too_few_audits_change_nothing() -> None:
    test = SiteTest(_patient(min_audits=100), ALL)
    modes = _live(test, RESTLESS, 99)
    assert set(modes) == {Mode.CANVAS}
    assert not test.settled
    assert "99 of the first 100 audits" in test.reasons[0]


def test_before_costs_are_known_the_gate_decides() -> None:
    test = SiteTest(_patient(), ALL)
    assert set(_live(test, Site(RESTLESS.frame, {}), 400)) == {Mode.CANVAS}
    assert test.reasons == ("what the gate sends is not known yet: it is watched for 30 s",)


def test_a_full_stream_whose_cost_nobody_knows_is_not_chosen() -> None:
    costs = {Mode.MOSAIC: 90_000.0, Mode.CANVAS: 30_000.0}
    test = SiteTest(_patient(), ALL)
    assert Mode.FULL not in _live(test, Site(RESTLESS.frame, costs), 500)


def test_a_full_stream_beyond_the_budget_is_not_chosen_and_is_left() -> None:
    test = SiteTest(_patient(), ALL)
    assert Mode.FULL not in _live(test, RESTLESS, 500, budget=30_500)
    other = SiteTest(_patient(), ALL)
    assert _live(other, RESTLESS, 500)[-1] is Mode.FULL
    assert other.decide(1e6, 30_500.0).gated
    assert "the budget is 30.50 KB/s" in other.reasons[0]


def test_the_cheaper_carrier_is_taken_without_waiting_and_ties_change_nothing() -> None:
    test = SiteTest(_patient(cheaper=0.1), ALL)
    test.cost(Mode.CANVAS, 1000)
    assert test.decide(0.0) is Mode.CANVAS
    test.cost(Mode.MOSAIC, 1000)
    assert test.decide(1.0) is Mode.CANVAS
    test.cost(Mode.MOSAIC, 901)
    assert test.decide(2.0) is Mode.CANVAS
    test.cost(Mode.MOSAIC, 899)
    assert test.decide(3.0) is Mode.MOSAIC
    assert "mosaic takes 0.90 KB/s where canvas takes 1.00 KB/s" in test.take_changes()[0].reasons
    # Not back for a little.
    test.cost(Mode.CANVAS, 850)
    assert test.decide(4.0) is Mode.MOSAIC
    assert test.changes == 1


def test_costs_that_waver_do_not_make_the_way_waver() -> None:
    test = SiteTest(_patient(), ALL)
    dice = np.random.default_rng(3)
    for n in range(2000):
        for mode in (Mode.MOSAIC, Mode.CANVAS):
            test.cost(mode, 1000 * (1 + 0.02 * dice.standard_normal()))
        test.decide(float(n))
    assert test.changes <= 3


def test_ways_of_equal_worth_do_not_take_turns() -> None:
    """The gate's gain is just what its bytes must buy."""
    test = SiteTest(_patient(), ALL)
    site = Site(
        _shares(0.9, 0.93, 5), {Mode.MOSAIC: 15_000, Mode.CANVAS: 15_000, Mode.FULL: 500_000}
    )
    for part in range(10):
        _live(test, site, 300, seed=part, at_s=30_000.0 * part)
    assert test.changes <= 2


def test_only_ways_that_are_possible_are_chosen() -> None:
    test = SiteTest(_patient(), (Mode.EDGE, Mode.MOSAIC))
    assert set(_live(test, RESTLESS, 500)) <= {Mode.EDGE, Mode.MOSAIC}
    with pytest.raises(InvalidInput, match="a carrier to choose from"):
        SiteTest(_patient(), (Mode.EDGE, Mode.FULL))
    with pytest.raises(InvalidInput, match="a carrier to choose from"):
        SiteTest(_patient(), (Mode.CANVAS,))


def test_a_scene_that_changes_is_tested_again() -> None:
    test = SiteTest(_patient(), ALL)
    assert _live(test, AGREES, 600)[-1] is Mode.EDGE
    test.take_changes()
    modes = _live(test, CROWDED, 600, at_s=60_000.0)
    assert modes[-1] is Mode.CANVAS
    again = test.take_changes()[0]
    assert again.before is Mode.EDGE
    assert again.after.gated
    assert "agreement of the edge alone has gone from 1.000 to" in again.reasons[0]
    # At latest with the second block of audits after the change.
    assert modes.index(again.after) <= 2 * 50


def test_an_alarm_puts_the_gate_to_work_again() -> None:
    test = SiteTest(_patient(), ALL)
    assert _live(test, RESTLESS, 500)[-1] is Mode.FULL
    test.alarm("3 of 40 audits missed an object", 1e5)
    assert test.mode is Mode.CANVAS
    assert not test.settled
    assert test.audits == 0
    assert test.reasons[0] == "3 of 40 audits missed an object"
    assert _live(test, RESTLESS, 500, seed=9, at_s=1e5)[-1] is Mode.FULL


def test_a_way_without_the_gate_is_tested_again_now_and_then() -> None:
    test = SiteTest(_patient(retest_s=1000.0), ALL)
    modes = _live(test, AGREES, 600)
    chosen = modes.index(Mode.EDGE)
    assert Mode.EDGE in modes[chosen : chosen + 10]
    assert modes[chosen + 10].gated
    assert any("h old" in reason for c in test.take_changes() for reason in c.reasons)


def test_a_restart_goes_on_where_it_was() -> None:
    whole, first = SiteTest(_patient(), ALL), SiteTest(_patient(), ALL)
    _live(whole, CROWDED, 150)
    _live(first, CROWDED, 150)
    record = SiteMode.of(first.snapshot(15_000.0).document())
    second = SiteTest(_patient(), ALL, record)
    assert (second.mode, second.reasons, second.settled) == (
        whole.mode,
        whole.reasons,
        whole.settled,
    )
    assert second.audits == whole.audits
    _live(whole, CROWDED, 300, seed=1, at_s=15_000.0)
    _live(second, CROWDED, 300, seed=1, at_s=15_000.0)
    assert second.mode is whole.mode
    for mode, worth in whole.worths(0.05).items():
        assert second.worths(0.05)[mode].gain.value == pytest.approx(worth.gain.value)


@pytest.mark.parametrize("name", SITES)
def test_a_settled_way_is_known_after_a_restart(name: str) -> None:
    site, wanted = SITES[name]
    first = SiteTest(_patient(), ALL)
    _live(first, site, 600)
    second = SiteTest(_patient(), ALL, first.snapshot(60_000.0))
    assert second.mode is wanted
    assert second.decide(60_000.0) is wanted
    assert second.snapshot(60_000.0).bytes_per_s == first.snapshot(60_000.0).bytes_per_s


def test_a_way_that_is_no_longer_possible_is_not_gone_on_with() -> None:
    first = SiteTest(_patient(), ALL)
    _live(first, RESTLESS, 500)
    second = SiteTest(_patient(), (Mode.EDGE, Mode.MOSAIC), first.snapshot(5e4))
    assert second.mode is Mode.MOSAIC
    assert "full is no longer possible here" in second.reasons


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_nonsense_is_refused(value: float) -> None:
    test = SiteTest(_patient(), ALL)
    with pytest.raises(InvalidInput, match="agreements"):
        test.audited(value, 1.0, 0.0)
    with pytest.raises(InvalidInput, match="bytes a second"):
        test.cost(Mode.CANVAS, -1.0 if value < 0 else math.inf)


agreements = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.sampled_from([0.0, 0.5, 0.8, 1.0])),
    min_size=1,
    max_size=4,
)
sent = st.floats(0, 200_000)


@settings(max_examples=10, deadline=None)
@given(agreements, sent, sent, sent, st.integers(0, 5))
def test_no_way_stays_that_is_certainly_worth_less_than_the_edge_alone(
    kinds: list[tuple[float, float]], mosaic: float, canvas: float, full: float, seed: int
) -> None:
    rules = _patient(min_audits=20, drift_audits=10_000)
    test = SiteTest(rules, ALL)
    site = Site(
        lambda dice: kinds[int(dice.integers(len(kinds)))],
        {Mode.MOSAIC: mosaic, Mode.CANVAS: canvas, Mode.FULL: full},
    )
    dice = np.random.default_rng(seed)
    for mode, bytes_per_s in site.costs.items():
        test.cost(mode, bytes_per_s)
    for n in range(120):
        edge, gated = site.frame(dice)
        looks = test.snapshot(0.0).looks
        test.audited(edge, gated, float(n))
        test.looked_twice(edge, gated, 1.0)
        test.decide(float(n))
        if not test.mode.gated or test.snapshot(0.0).looks == looks:
            continue
        # With the probability of error of the very look that was taken.
        worth = test.worths(rules.delta * 6 / (math.pi * (looks + 1)) ** 2)[test.mode]
        assert worth.value.high >= 0


def test_bounds_hold() -> None:
    """At most 5 % break either side, by and large: rare, plain and steady numbers."""
    dice = np.random.default_rng(0)
    for draw, truth in (
        (lambda size: (dice.random(size) < 0.02).astype(float), 0.02),
        (lambda size: dice.random(size), 0.5),
        (lambda size: 0.9 + 0.1 * dice.random(size), 0.95),
    ):
        wrong_low = wrong_high = 0
        for _ in range(1000):
            values = draw(60)
            mean = Mean(60, float(values.sum()), float((values**2).sum()))
            wrong_high += mean.upper(0.05) < truth
            wrong_low += mean.lower(0.05) > truth
        assert wrong_low <= 0.065 * 1000
        assert wrong_high <= 0.065 * 1000


def test_bounds_of_nothing_say_nothing_and_get_narrower() -> None:
    assert (Mean().lower(0.05), Mean().upper(0.05)) == (0.0, 1.0)
    widths = []
    for n in (10, 100, 1000):
        mean = Mean(n, 0.9 * n, 0.82 * n)
        widths.append(mean.upper(0.05) - mean.lower(0.05))
    assert widths == sorted(widths, reverse=True)
    never = difference(Mean(300), Mean(300), 0.05)
    assert never.value == 0
    assert -0.02 < never.low < 0 < never.high < 0.02
