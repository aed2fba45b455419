"""Curves of any counts: they rise, stay near the identity where little is known, and are finite."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.edge.gate.buckets import recalibrated
from secondlook.edge.gate.curves import BINS, CENTRES, LEAST, Counts, Curve, curve_of, rising
from secondlook.edge.gate.risk import Risk
from secondlook.shared.memory.kinds import ScoreCalibration
from secondlook.shared.memory.merging import merge

shares = st.floats(0, 1)
totals = st.lists(st.integers(0, 2000), min_size=BINS, max_size=BINS)
probabilities = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=12)


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    seen = np.array(draw(totals), float)
    right = np.floor(seen * np.array(draw(st.lists(shares, min_size=BINS, max_size=BINS))))
    weight = draw(st.integers(1, 100))
    return Counts(seen * weight, right * weight, float(seen.sum() * weight**2))


@given(counts(), st.lists(st.floats(-30, 30), min_size=2, max_size=20))
def test_a_curve_rises_and_is_finite(told: Counts, odds: list[float]) -> None:
    curve = curve_of(told)
    if told.number < LEAST:
        assert curve is None
        return
    assert curve is not None
    after = curve.apply(np.array(sorted(odds)))
    assert np.isfinite(after).all()
    assert (np.diff(after) >= -1e-9).all()


@given(counts(), counts())
def test_a_bucket_goes_on_from_its_branch(of_branch: Counts, of_bucket: Counts) -> None:
    begin = curve_of(of_branch)
    curve = curve_of(of_bucket, begin)
    if of_bucket.number < LEAST:
        assert curve is begin
    else:
        assert curve is not None
        assert (np.diff(curve.values) >= -1e-9).all()


@given(counts())
def test_the_weight_of_all_alike_says_nothing(told: Counts) -> None:
    tenfold = Counts(told.seen * 10, told.right * 10, told.squares * 100)
    one, other = curve_of(told), curve_of(tenfold)
    if one is None or other is None:
        assert one is other
    else:
        assert np.allclose(one.values, other.values)


@given(st.lists(st.tuples(shares, st.floats(0.1, 100)), min_size=1, max_size=30))
def test_pooling_gives_the_nearest_rising_values(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    found = rising(values, weights)
    assert (np.diff(found) >= 0).all()
    assert np.isclose(found @ weights, values @ weights)
    error = np.sum(weights * (found - values) ** 2)
    # No other rising values are nearer: not these, shifted a little or drawn to their mean.
    mean = values @ weights / weights.sum()
    for other in (found + 0.01, found - 0.01, 0.9 * found + 0.1 * mean, np.sort(values)):
        assert error <= np.sum(weights * (other - values) ** 2) + 1e-9


@given(probabilities, st.data())
def test_loss_follows_from_probabilities(right: list[float], data: st.DataObject) -> None:
    number = len(right)
    ps = np.array(right)
    classes = np.array(data.draw(st.lists(shares, min_size=number, max_size=number)))
    risk = Risk.of(ps, np.maximum(classes, 0.01))
    new = np.zeros(number, bool)
    same = recalibrated(risk, risk.right, new, ~new)
    assert np.allclose(same.loss, risk.loss, atol=1e-6)
    after = np.array(data.draw(st.lists(st.floats(0, 1), min_size=number, max_size=number)))
    changed = recalibrated(risk, after, new, ~new)
    assert ((changed.loss >= 0) & (changed.loss <= 1)).all()
    untouched = recalibrated(risk, risk.right, new, new)
    assert np.array_equal(untouched.loss, risk.loss)
    verified = recalibrated(risk, after, ~new, ~new)
    assert np.allclose(verified.loss, np.minimum(after, 1 - after))


def record(draw: st.DataObject) -> ScoreCalibration:
    names = draw.draw(
        st.sets(st.sampled_from(["new/small/car", "new/large/car", "refuted/small/*"]))
    )
    seen = {name: tuple(draw.draw(totals)) for name in sorted(names)}
    right = {name: tuple(draw.draw(st.integers(0, n)) for n in counted)
             for name, counted in seen.items()}  # fmt: skip
    return ScoreCalibration(
        gate="g", model="m 1", at_s=draw.draw(st.floats(0, 1e9)), low=-4.0, high=4.0,
        seen=seen, right=right, squares={name: sum(c) for name, c in seen.items()},
        trial={"new": (draw.draw(st.integers(0, 99)), 5, 4)},
    )  # fmt: skip


@settings(max_examples=25)
@given(st.data())
def test_two_writers_lose_nothing(data: st.DataObject) -> None:
    base, ours, theirs = record(data), record(data), record(data)
    rule = ScoreCalibration.RULE
    # Each writer adds to what both began with.
    one = merge({}, base.document(), ours.document(), rule)
    other = merge({}, base.document(), theirs.document(), rule)
    both = ScoreCalibration.of(merge(base.document(), one, other, rule))
    for bucket in {*base.seen, *ours.seen, *theirs.seen}:
        zero = (0,) * BINS
        parts = [r.seen.get(bucket, zero) for r in (base, ours, theirs)]
        assert both.seen[bucket] == tuple(map(sum, zip(*parts, strict=True)))
        assert both.squares[bucket] == sum(r.squares.get(bucket, 0) for r in (base, ours, theirs))
    assert both.trial["new"][0] == sum(r.trial["new"][0] for r in (base, ours, theirs))
    assert both.at_s == max(r.at_s for r in (base, ours, theirs))


def test_the_identity_goes_on_beyond_its_bins() -> None:
    odds = np.array([-9.0, -1.2, 0.0, 2.2, 7.5])
    assert np.allclose(Curve(CENTRES.copy()).apply(odds), odds)
