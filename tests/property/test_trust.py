"""Laws of trust that hold for any counts, and for any story a camera may tell."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.trust import (
    AuditCounts,
    Basis,
    TrustKeeper,
    TrustSettings,
    TrustState,
    clopper_pearson,
    hoeffding_bentkus,
    monitor_log_e,
    pool,
    walk,
)

GRID = (0.0, 0.1, 0.3, 0.6)
deltas = st.floats(1e-4, 0.4)
rates = st.floats(1e-3, 0.4)


@st.composite
def counts(draw: st.DrawFn, largest: int = 5000) -> tuple[int, int]:
    n = draw(st.integers(1, largest))
    return draw(st.integers(0, n)), n


@given(kn=counts(), delta=deltas)
def test_more_misses_raise_the_bound_more_right_answers_lower_it(
    kn: tuple[int, int], delta: float
) -> None:
    k, n = kn
    bound = float(clopper_pearson(k, n, delta))
    assert k / n <= bound <= 1
    assert float(clopper_pearson(k, n + 1, delta)) <= bound
    assert float(clopper_pearson(k + 1, n + 1, delta)) >= bound
    assert float(clopper_pearson(k, n, delta / 2)) >= bound


@given(kn=counts(500), delta=deltas)
@settings(max_examples=40)
def test_the_bound_for_any_losses_is_never_below_the_exact_one(
    kn: tuple[int, int], delta: float
) -> None:
    k, n = kn
    loose = float(hoeffding_bentkus(k / n, n, delta))
    assert float(clopper_pearson(k, n, delta)) <= loose + 1e-9
    assert float(hoeffding_bentkus(k / n, n, delta / 2)) >= loose - 1e-9


@given(kn=counts(), alpha=rates)
def test_the_monitors_bet_is_fair_at_the_promise_and_loses_below(
    kn: tuple[int, int], alpha: float
) -> None:
    k, n = kn
    now, lost, right = (float(v) for v in monitor_log_e([n, n + 1, n + 1], [k, k + 1, k], alpha))
    # In units of what is there now: the values themselves may be astronomic.
    up, down = math.exp(lost - now), math.exp(right - now)
    assert down < 1 < up
    assert math.isclose(alpha * up + (1 - alpha) * down, 1.0, rel_tol=1e-6)


@st.composite
def windows(draw: st.DrawFn) -> AuditCounts:
    found = AuditCounts(GRID)
    for probability in draw(st.lists(st.sampled_from([0.01, 0.1, 0.5, 1.0]), unique=True)):
        frames = draw(st.integers(1, 20_000))
        audits = frames if probability == 1 else draw(st.integers(0, frames))
        misses = sorted(draw(st.lists(st.integers(0, audits), min_size=3, max_size=3)))
        found.saw(probability, frames)
        found.add(probability, audits, np.array([0, *misses]))
    return found


@given(window=windows(), alpha=rates, delta=deltas)
@settings(max_examples=60)
def test_the_walk_accepts_a_prefix_and_stricter_promises_accept_less(
    window: AuditCounts, alpha: float, delta: float
) -> None:
    found = walk(window, alpha, delta)
    assert found.bounds[0] == 0
    assert (found.bounds >= 0).all()
    tolerance = 1e-9
    assert (found.bounds[: found.index + 1] <= alpha + tolerance).all()
    assert walk(window, alpha / 2, delta).index <= found.index
    assert walk(window, alpha, delta / 2).index <= found.index
    if found.method == "clopper-pearson":
        assert (np.diff(found.bounds) >= -tolerance).all()
        known = np.nan_to_num(found.estimates, nan=0.0)
        assert (found.bounds[1:] >= known[1:] - tolerance).all()


def as_window(audits: int, misses: tuple[int, int]) -> TrustWindow:
    return TrustWindow(
        started_s=0,
        ended_s=1,
        at_s=1,
        alpha=0.05,
        delta=0.05,
        audit_rate=0.1,
        gate="g",
        model="m",
        model_version="",
        thresholds=(0.0, 0.2, 0.4),
        frames=10 * audits,
        audits=audits,
        misses=(0, *misses),
        known_misses=(0, 0, 0),
    )


@given(
    parts=st.lists(
        st.tuples(st.integers(10, 400), st.integers(0, 5), st.integers(0, 5)),
        min_size=1,
        max_size=6,
    )
)
def test_a_pool_is_one_camera_with_all_of_its_frames(parts: list[tuple[int, int, int]]) -> None:
    several = {f"s/{n}": [as_window(a, (k, k + m))] for n, (a, k, m) in enumerate(parts)}
    total = as_window(
        sum(a for a, _, _ in parts),
        (sum(k for _, k, _ in parts), sum(k + m for _, k, m in parts)),
    )
    pooled, alone = pool(several).certificate, pool({"s/0": [total]}).certificate
    assert (pooled.tau, pooled.bound, pooled.audits) == (alone.tau, alone.bound, alone.audits)


EVENTS = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 400)),
    st.tuples(st.just("miss"), st.sampled_from([0.0, 0.05, 0.2, 0.9])),
    st.tuples(st.just("lose"), st.integers(0, 30)),
    st.tuples(st.just("down"), st.just(0)),
    st.tuples(st.just("up"), st.just(0)),
    st.tuples(st.just("short"), st.just(0)),
    st.tuples(st.just("enough"), st.just(0)),
    st.tuples(st.just("change"), st.integers(0, 1)),
)


@given(story=st.lists(EVENTS, max_size=25), late=st.booleans())
@settings(max_examples=40)
def test_whatever_happens_no_spoilt_window_is_certified(
    story: list[tuple[str, float]], late: bool
) -> None:
    kept = TrustSettings(
        alpha=0.05, audit_rate=0.5, window_frames=300, thresholds=GRID, alarm_audits=20
    )
    keeper = TrustKeeper("s/c", kept, Basis("g", "m", "0"))
    records: list[TrustWindow] = []
    sequence, risk = 0, math.inf
    waiting: list[int] = []
    for what, value in story:
        at_s = sequence / 10
        if what == "run":
            for _ in range(int(value)):
                sequence += 1
                audited = sequence % 2 == 0
                rate = keeper.audit_rate
                if rate == 1:
                    audited = True
                keeper.frame(sequence, sequence / 10, probability=rate, audited=audited)
                if audited and late and sequence % 7 == 0:
                    waiting.append(sequence)
                elif audited:
                    keeper.outcome(sequence, risk)
                    risk = math.inf
        elif what == "miss":
            risk = value
        elif what == "lose":
            for lost in waiting[: int(value)]:
                keeper.lost(lost, "story")
            del waiting[: int(value)]
        elif what == "down":
            keeper.link_down(at_s, "cut")
        elif what == "up":
            keeper.link_up(at_s)
        elif what == "short":
            keeper.infeasible(at_s, "too little")
        elif what == "enough":
            keeper.feasible(at_s)
        else:
            keeper.changed(Basis(f"g{int(value)}", "m", "0"), at_s)
        records += [record for _, record in keeper.take_windows()]
        status = keeper.status
        assert 0 <= status.tau <= 1
        assert kept.audit_rate <= status.audit_rate <= 1
        assert status.reasons
        if status.state is TrustState.CERTIFIED:
            assert status.certificate is not None
            assert status.certificate.tau == status.tau > 0
            assert status.certificate.bound <= kept.alpha
            assert not status.certificate.basis.differs(keeper.basis)
        if status.state in (TrustState.ALARM, TrustState.UNCERTIFIED):
            assert status.certificate is None
    for record in records:
        assert TrustWindow.of(record.document()) == record
        if record.lost or record.spoilt:
            assert record.certified_tau is None
