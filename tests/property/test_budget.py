"""The promise of the budget: over any time at most rate times time plus burst pass the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.control import BudgetSettings, CameraBudget, Claim, Controller, share
from secondlook.edge.control.bucket import Bucket, Hold
from secondlook.edge.control.price import MAX_PRICE, DualPrice
from secondlook.edge.control.resource import STRETCH
from secondlook.shared.values import Purpose

STEPS = st.lists(
    st.tuples(
        st.floats(0, 30),  # time that passes, seconds
        st.floats(0, 2),  # size, in bursts
        st.booleans(),  # an audit
        st.floats(0, 1),  # which of the open ones passes the wire, and how much of it
        st.booleans(),  # whether one is settled
    ),
    min_size=1,
    max_size=60,
)


@dataclass
class Sent:
    """Something on its way."""

    hold: Hold
    passed: float = 0.0


@dataclass
class Wire:
    """What passed, and when."""

    events: list[tuple[float, float]] = field(default_factory=list)

    def most_in(self, window_s: float) -> float:
        """Most bytes in any window of that length; windows begin at events."""
        return max(
            (
                sum(size for at, size in self.events if begin <= at <= begin + window_s)
                for begin, _ in self.events
            ),
            default=0.0,
        )


@given(st.floats(0, 1e5), st.floats(1, 30), st.floats(0, 0.9), STEPS)
def test_in_no_window_more_passes_than_the_bucket_gives(
    rate: float,
    burst_s: float,
    audit_share: float,
    steps: list[tuple[float, float, bool, float, bool]],
) -> None:
    now_s, burst = 5.0, rate * burst_s
    bucket = Bucket(rate, burst, audit_share, now_s)
    wire, under_way = Wire(), list[Sent]()
    for passed_s, size, audit, part, settles in steps:
        now_s += passed_s
        hold = bucket.hold(size * burst, now_s, audit=audit)
        if hold is not None:
            under_way.append(Sent(hold))
        if under_way:
            # Whatever is on its way may pass at any time between its hold and its end.
            one = under_way[int(part * (len(under_way) - 1))]
            now = part * (one.hold.amount - one.passed)
            wire.events.append((now_s, now))
            one.passed += now
            if settles:
                bucket.settle(one.hold, one.passed, now_s)
                under_way.remove(one)
        assert bucket.room(now_s) >= 0
        assert bucket.room(now_s, audit=True) + bucket.held <= burst * (1 + 1e-9) + 1e-6
    for window_s in (1.0, 60.0):
        assert wire.most_in(window_s) <= (rate * window_s + burst) * (1 + 1e-9) + 1e-3


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3), st.floats(0, 3)), max_size=40))
def test_what_was_underestimated_is_paid_back_before_anything_else_is_sent(
    steps: list[tuple[float, float, float]],
) -> None:
    bucket, now_s, paid, excess = Bucket(100.0, 1000.0, 0.2, 0.0), 0.0, 0.0, 0.0
    for passed_s, estimate, factor in steps:
        now_s += passed_s
        hold = bucket.hold(estimate * 100, now_s)
        assert hold is None or hold.amount == 0 or bucket.debt == 0
        if hold is not None:
            used = hold.amount * factor
            paid += used
            excess = max(excess, used - hold.amount)
            bucket.settle(hold, used, now_s)
        # All that was ever sent is what flowed in, but for the one message that was misjudged.
        assert paid <= 100 * now_s + excess + 1e-3


@given(
    st.floats(0, 1e6),
    st.lists(
        st.tuples(
            st.one_of(st.floats(0, 1e6), st.just(math.inf)),
            st.floats(0, 1e6),
            st.floats(0.1, 10),
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_shares_add_up_and_nobody_who_lacks_gets_less_than_one_who_gets_more(
    rate: float, claims: list[tuple[float, float, float]]
) -> None:
    asked = [Claim(f"c{i}", w, r, g) for i, (w, r, g) in enumerate(claims)]
    shares = share(rate, asked)
    slack = 1e-6 * (1 + rate)
    assert sum(one.granted for one in shares) == pytest.approx(rate, abs=slack)
    assert all(one.granted >= 0 for one in shares)
    required = sum(claim.required for claim in asked)
    for claim, one in zip(asked, shares, strict=True):
        if required <= rate:
            assert one.granted >= claim.required - slack
        # Demand below the fair part is always met where no threshold comes first.
        if required == 0:
            assert one.granted >= min(claim.wanted, one.fair) - slack
        if one.granted < claim.wanted - slack and required == 0:
            height = one.granted / claim.weight
            for other_claim, other in zip(asked, shares, strict=True):
                assert other.granted / other_claim.weight <= height * (1 + 1e-6) + slack


@given(st.lists(st.tuples(st.floats(-5, 1e6), st.floats(0, 1e6), st.floats(0, 1)), max_size=80))
def test_the_price_stays_bounded(moves: list[tuple[float, float, float]]) -> None:
    price = DualPrice()
    for spent_s, passed_s, fullness in moves:
        price.move(spent_s, passed_s, fullness)
        assert 0 <= price.nu <= MAX_PRICE


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.floats(-3, 8), st.floats(0, 4e4), st.floats(0, 1), st.booleans()
        ),
        max_size=60,
    )
)
def test_cameras_together_stay_within_the_site_and_each_within_its_own(
    steps: list[tuple[int, float, float, float, bool]],
) -> None:
    own = CameraBudget(kb_per_s=1.5)
    controller = Controller(
        BudgetSettings(kb_per_s=4, cloud_per_s=2), {"a": own, "b": None, "c": None}, 0.0
    )
    true_s = clock_s = 0.0
    site, single, runs = Wire(), Wire(), Wire()
    for number, passed_s, size, used, audit in steps:
        camera = "abc"[number]
        clock_s += passed_s
        true_s += abs(passed_s)  # a clock that goes back has still let time pass
        purpose = Purpose.AUDIT if audit else Purpose.UNSURE
        allowance = controller.allowance(camera, clock_s)
        paid = controller.reserve(camera, purpose, size, 1, clock_s)
        fits = allowance.affords(size, 1, audit=audit)
        assert paid is not None or not fits
        # A question that turned out larger may overdraw its camera's share, no more than this.
        assert paid is None or fits or (not audit and size <= STRETCH * allowance.bytes_now + 1)
        if paid is not None:
            assert paid.attempt(size * used, clock_s)
            paid.close(clock_s)
            site.events.append((true_s, size * used))
            runs.events.append((true_s, 1.0 if size * used else 0.0))
            if camera == "a":
                single.events.append((true_s, size * used))
    assert site.most_in(60) <= 4000 * 60 + 40_000 + 1
    assert single.most_in(60) <= 1500 * 60 + 15_000 + 1
    assert runs.most_in(60) <= 2 * 60 + 20 + 1e-6
