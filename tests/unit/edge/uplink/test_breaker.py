"""The breaker, moment by moment."""

from __future__ import annotations

import random

import pytest

from secondlook.edge.uplink import Breaker, BreakerSettings, BreakerState

CLOSED, OPEN, PROBING = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.PROBING


def breaker(**changes: object) -> Breaker:
    return Breaker(BreakerSettings.model_validate(changes), random.Random(1))


def fail(one: Breaker, count: int, now_s: float) -> None:
    for _ in range(count):
        one.record(False, 0.1, now_s)


def test_too_few_calls_say_nothing() -> None:
    one = breaker()
    fail(one, 7, 0.0)
    assert one.admits
    fail(one, 1, 9.0)
    assert one.state is OPEN
    assert not one.admits


def test_calls_leave_the_window() -> None:
    one = breaker()
    fail(one, 7, 0.0)
    fail(one, 7, 10.1)
    assert one.admits


def test_half_must_be_bad_and_slow_is_bad() -> None:
    one = breaker(slow_s=2.0)
    for _ in range(5):
        one.record(True, 0.1, 0.0)
    fail(one, 2, 0.0)
    one.record(True, 2.0, 0.0)
    assert one.admits, "3 of 8"
    one.record(True, 3.0, 0.0)
    one.record(True, 3.0, 0.0)
    assert one.state is OPEN, "5 of 10"


def test_it_waits_probes_and_closes() -> None:
    one = breaker(jitter=0)
    fail(one, 8, 100.0)
    assert one.probe_at_s == 105.0
    assert not one.probe(104.9)
    assert one.probe(105.0)
    assert one.state is PROBING
    assert not one.admits
    one.probed(True, 105.1)
    one.probed(True, 105.2)
    assert one.state is PROBING
    one.probed(True, 105.3)
    assert one.admits
    fail(one, 7, 106.0)
    assert one.admits, "the calls of before are forgotten"


def test_the_pause_doubles_up_to_its_longest_and_shrinks_after_a_good_time() -> None:
    one, now_s, pauses = breaker(jitter=0), 0.0, []
    fail(one, 8, now_s)
    for _ in range(6):
        pauses.append(one.probe_at_s - now_s)
        now_s = one.probe_at_s
        assert one.probe(now_s)
        one.probed(False, now_s)
    assert pauses == [5, 10, 20, 40, 60, 60]
    now_s = one.probe_at_s
    one.probe(now_s)
    for _ in range(3):
        one.probed(True, now_s)
    fail(one, 8, now_s + 1)
    assert one.probe_at_s - now_s - 1 == 60, "it failed again at once"
    one.probe(now_s + 61)
    for _ in range(3):
        one.probed(True, now_s + 61)
    fail(one, 8, now_s + 200)
    assert one.probe_at_s == now_s + 205


def test_where_there_is_hope_the_next_probe_does_not_wait() -> None:
    one = breaker(jitter=0)
    one.hurry(1.0)
    assert one.admits, "a breaker that is closed stays so"
    fail(one, 8, 100.0)
    one.hurry(101.0)
    assert one.probe(101.0)
    one.probed(False, 101.5)
    assert one.probe_at_s == 111.5, "in vain: the pause doubles all the same"
    one.hurry(200.0)
    assert one.probe_at_s == 111.5, "nothing is put off"


def test_pauses_are_drawn_so_that_devices_do_not_come_back_together() -> None:
    pauses = set()
    for seed in range(20):
        one = Breaker(BreakerSettings(), random.Random(seed))
        fail(one, 8, 0.0)
        pauses.add(one.probe_at_s)
    assert len(pauses) == 20
    assert min(pauses) >= 4
    assert max(pauses) <= 6


def test_what_began_before_it_opened_changes_nothing() -> None:
    one = breaker(jitter=0)
    fail(one, 8, 0.0)
    one.record(True, 0.1, 1.0)
    fail(one, 20, 2.0)
    one.probed(True, 2.0)
    assert (one.state, one.probe_at_s, one.opened) == (OPEN, 5.0, 1)


def test_a_clock_that_goes_back_keeps_no_old_calls() -> None:
    one = breaker()
    fail(one, 7, 1000.0)
    fail(one, 7, 10.0)
    assert one.admits


def test_switched_off_it_never_opens() -> None:
    one = breaker(enabled=False)
    fail(one, 100, 0.0)
    assert one.admits


@pytest.mark.parametrize("field", ["window_s", "open_s", "bad_ratio", "min_calls", "probes"])
def test_settings_have_bounds(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        BreakerSettings.model_validate({field: 0})
