"""The token bucket, step by step."""

from __future__ import annotations

import math

import pytest

from secondlook.edge.control.bucket import Bucket, Hold
from secondlook.shared.errors import InvalidInput


def test_it_starts_empty_fills_to_its_burst_and_no_further() -> None:
    bucket = Bucket(100, 1000, 0.0, 50.0)
    assert bucket.room(50) == 0
    assert bucket.room(52) == 200
    assert bucket.room(1e6) == 1000
    assert bucket.fullness(1e6) == 1


def test_what_is_on_its_way_leaves_no_room_for_what_flows_in() -> None:
    bucket = Bucket(100, 1000, 0.0, 0.0)
    hold = bucket.hold(900, 100)
    assert hold is not None
    assert bucket.room(200) == 100, "900 are still to pass; 1000 is the most in one moment"
    bucket.settle(hold, 400, 200)
    assert bucket.room(200) == 600, "what never passed is given back"
    assert bucket.hold(601, 200) is None


def test_audits_keep_a_share_of_their_own() -> None:
    bucket = Bucket(100, 1000, 0.2, 0.0)
    assert bucket.room(10) == pytest.approx(800)
    assert bucket.room(10, audit=True) == pytest.approx(1000)
    everything = bucket.hold(800, 10)
    assert everything is not None
    assert bucket.hold(1, 10) is None
    audit = bucket.hold(150, 10, audit=True)
    assert audit == Hold(0, 150)
    bucket.settle(everything, 800, 10)
    bucket.settle(audit, 150, 10)
    assert bucket.room(20) == pytest.approx(750)
    assert bucket.room(20, audit=True) == pytest.approx(1000)


def test_half_of_the_burst_is_kept_for_audits_when_nobody_asks() -> None:
    bucket = Bucket(100, 1000, 0.1, 0.0)
    assert bucket.room(1000) == pytest.approx(500)
    assert bucket.room(1000, audit=True) == pytest.approx(1000)


def test_a_debt_is_paid_first() -> None:
    bucket = Bucket(100, 1000, 0.5, 0.0)
    hold = bucket.hold(100, 10)
    assert hold is not None
    bucket.settle(hold, 900, 10)
    assert bucket.debt == pytest.approx(400), "the free 400 went into it; the kept part stays"
    assert bucket.room(10, audit=True) == 0
    assert bucket.room(13) == 0
    assert bucket.debt == pytest.approx(100)
    assert bucket.room(15) > 0


def test_a_clock_that_jumps_earns_nothing_for_it() -> None:
    bucket = Bucket(100, 1000, 0.0, 1000.0)
    assert bucket.room(1001) == 100
    assert bucket.room(400) == 100, "back: nothing is earned, nothing is lost"
    assert bucket.room(401) == 200, "and time goes on from there"
    assert bucket.room(1e12) == 1000, "ahead: the burst at most"


def test_a_budget_of_nothing_gives_nothing() -> None:
    bucket = Bucket(0, 0, 0.2, 0.0)
    assert bucket.room(1e9, audit=True) == 0
    assert bucket.fullness(1e9) == 0
    assert bucket.hold(1, 1e9) is None
    assert bucket.hold(0, 1e9) == Hold(0, 0)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_nonsense_is_refused(bad: float) -> None:
    bucket = Bucket(1, 10, 0.0, 0.0)
    with pytest.raises(InvalidInput, match="amount"):
        bucket.hold(bad, 1)
    with pytest.raises(InvalidInput, match="used"):
        bucket.settle(Hold(0), bad, 1)
    with pytest.raises(InvalidInput, match="rate"):
        Bucket(bad, 1, 0, 0)
    if not bad < 0:
        with pytest.raises(InvalidInput, match="now_s"):
            bucket.room(bad)
