"""The breaker, moment by moment."""

from __future__ import annotations

import random

import pytest

from secondlook.cloud.stability import Breaker, BreakerSettings, BreakerState, Ending
from secondlook.cloud.stability.breaker import MAX_TRANSITIONS

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN
GOOD, FAILED, NEUTRAL = Ending.GOOD, Ending.FAILED, Ending.NEUTRAL

BASE: dict[str, object] = {"window_s": 1.0, "windows": 3, "min_calls": 5, "jitter": 0.0}


def breaker(lanes: int = 1, **changes: object) -> Breaker:
    settings = BreakerSettings.model_validate({**BASE, **changes})
    return Breaker(settings, random.Random(1), lanes)


def call(one: Breaker, ending: Ending, now_s: float, took_s: float = 0.0, rows: int = 1) -> bool:
    """One whole call that ends at ``now_s``; whether it went through."""
    number = one.begin(now_s - took_s, rows)
    if number is None:
        return False
    if not (ending is GOOD and one.end_good(number, now_s)):
        one.end(number, ending, now_s)
    return True


def window(one: Breaker, good: int, failed: int, from_s: float) -> None:
    """Calls of one window, which is over at ``from_s + 1``."""
    for ending, count in ((GOOD, good), (FAILED, failed)):
        for _ in range(count):
            call(one, ending, from_s)
    one.tick(from_s + 1.0)


def cut(one: Breaker, from_s: float = 0.0) -> float:
    """Three bad windows; the time at which it opened."""
    for at_s in range(3):
        window(one, 0, 5, from_s + at_s)
    assert one.state is OPEN
    return from_s + 3.0


def test_three_bad_windows_in_a_row_open_it_and_two_do_not() -> None:
    one = breaker()
    window(one, 0, 5, 0.0)
    window(one, 0, 5, 1.0)
    assert one.state is CLOSED
    window(one, 5, 0, 2.0)
    window(one, 0, 5, 3.0)
    window(one, 0, 5, 4.0)
    assert one.state is CLOSED, "the good window began the count anew"
    window(one, 0, 5, 5.0)
    assert one.state is OPEN
    assert not one.admits(6.0)
    assert "5 of 5 calls bad" in str(one.transitions[-1])


def test_a_window_is_bad_from_the_limit_on() -> None:
    for failed, state in ((3, CLOSED), (4, OPEN)):
        one = breaker(bad_ratio=0.8)
        for at_s in range(3):
            window(one, 5 - failed, failed, float(at_s))
        assert one.state is state


def test_a_window_of_few_calls_goes_on_until_it_has_enough() -> None:
    one = breaker(windows=1)
    for at_s in range(4):
        window(one, 0, 1, float(at_s))
    assert one.state is CLOSED, "4 calls"
    window(one, 0, 1, 4.0)
    assert one.state is OPEN


def test_a_window_that_stays_short_of_calls_is_forgotten() -> None:
    one = breaker(windows=1)
    for _ in range(4):
        call(one, FAILED, 0.0)
    one.tick(10.0)
    call(one, FAILED, 10.0)
    one.tick(11.0)
    assert one.state is CLOSED


def test_what_is_nobodys_fault_is_not_counted() -> None:
    one = breaker(windows=1)
    for _ in range(100):
        call(one, NEUTRAL, 0.0)
    window(one, 0, 4, 0.0)
    assert one.state is CLOSED


def test_it_waits_probes_and_closes() -> None:
    one = breaker(open_s=5.0)
    opened_s = cut(one)
    assert one.wait_s(opened_s) == 5.0
    assert one.wait_s(opened_s + 2.0) == 3.0
    assert not one.admits(opened_s + 4.9)
    assert one.begin(opened_s + 4.9) is None
    for _ in range(3):
        assert one.state is not CLOSED
        assert call(one, GOOD, opened_s + 5.0)
    assert one.state is CLOSED
    assert [(change.before, change.after) for change in one.transitions] == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]
    for at_s in range(2):
        window(one, 0, 5, 20.0 + at_s)
    assert one.state is CLOSED, "what was before is forgotten"


def test_half_open_lets_no_more_through_than_the_probes() -> None:
    one = breaker(probes=2, lanes=0)
    now_s = cut(one) + 5.0
    probes = [one.begin(now_s) for _ in range(5)]
    assert [number is not None for number in probes] == [True, True, False, False, False]
    assert probes[0] is not None
    one.end(probes[0], GOOD, now_s)
    assert one.begin(now_s) is None, "one was good, one is under way"
    assert probes[1] is not None
    one.end(probes[1], NEUTRAL, now_s)
    assert one.begin(now_s) is not None, "a probe that says nothing gives its place back"


def test_one_bad_probe_opens_it_again_for_twice_as_long() -> None:
    one = breaker(open_s=5.0, open_max_s=60.0)
    now_s = cut(one)
    pauses = []
    for _ in range(6):
        pauses.append(one.wait_s(now_s))
        now_s += pauses[-1]
        assert call(one, FAILED, now_s)
        assert one.state is OPEN
    assert pauses == [5, 10, 20, 40, 60, 60]


def test_after_a_long_good_time_pauses_are_short_again() -> None:
    one = breaker(open_s=5.0, open_max_s=60.0)
    now_s = cut(one) + 5.0
    call(one, FAILED, now_s)
    now_s += 10.0
    for _ in range(3):
        call(one, GOOD, now_s)
    soon_s = cut(one, now_s + 1.0)
    assert one.wait_s(soon_s) == 20.0, "it failed again at once"
    now_s = soon_s + 20.0
    for _ in range(3):
        call(one, GOOD, now_s)
    assert one.wait_s(cut(one, now_s + 100.0)) == 5.0


def test_pauses_are_drawn_so_that_replicas_do_not_probe_together() -> None:
    pauses = set()
    for seed in range(20):
        settings = BreakerSettings.model_validate({**BASE, "jitter": 0.2, "open_s": 5.0})
        one = Breaker(settings, random.Random(seed))
        pauses.add(one.wait_s(cut(one)))
    assert len(pauses) == 20
    assert min(pauses) >= 4
    assert max(pauses) <= 6


def test_what_began_before_it_opened_changes_nothing() -> None:
    one = breaker(lanes=0)
    before = [one.begin(0.0) for _ in range(9)]
    now_s = cut(one) + 5.0
    assert one.admits(now_s)
    assert one.state is HALF_OPEN
    for number in before:
        assert number is not None
        one.end(number, FAILED, now_s)
    assert one.state is HALF_OPEN
    assert one.begin(now_s) is not None


def test_a_call_that_hangs_opens_it_while_it_hangs() -> None:
    one = breaker(hang_s=10.0, open_s=5.0)
    number = one.begin(0.0)
    one.tick(9.9)
    one.tick(10.0)
    assert one.hung(10.0) == 1
    one.tick(12.9)
    assert one.state is CLOSED
    one.tick(13.0)
    assert one.state is OPEN
    assert "hung" in one.transitions[-1].why
    for at_s in range(14, 400):
        assert not one.admits(float(at_s)), "a probe could only wait behind it"
    again = [change for change in one.transitions if change.before is change.after]
    assert again[0].why == "a call hangs still", "whoever can replace its thread is told again"
    assert number is not None
    one.end(number, GOOD, 400.0)
    assert not one.admits(404.9)
    assert one.admits(405.0), "it is back, so the first pause will do"


def test_a_late_look_counts_all_the_windows_of_a_hang() -> None:
    one = breaker(hang_s=10.0)
    one.begin(0.0)
    one.tick(10.0)
    one.tick(13.0)
    assert one.state is OPEN


def test_a_lost_call_among_many_does_not_open_it() -> None:
    one = breaker(lanes=0, hang_s=10.0)
    one.begin(0.0)
    for at_s in range(10, 60):
        window(one, 5, 0, float(at_s))
    assert one.state is CLOSED


def test_where_many_run_at_once_a_lost_call_does_not_keep_it_open() -> None:
    one = breaker(lanes=0, hang_s=10.0)
    one.begin(0.0)
    one.tick(10.0)
    one.tick(13.0)
    assert one.state is OPEN
    for _ in range(3):
        assert call(one, GOOD, 20.0)
    assert one.state is CLOSED
    one.tick(30.0)
    one.tick(99.0)
    assert one.state is CLOSED, "it was held against it already"


def test_calls_that_were_given_up_let_probes_go() -> None:
    one = breaker(hang_s=10.0)
    lost = one.begin(0.0)
    one.tick(10.0)
    one.tick(13.0)
    for at_s in range(14, 100):
        assert not one.admits(float(at_s))
    assert one.abandon(100.0) == 1
    assert one.admits(105.0)
    assert lost is not None
    assert one.end(lost, FAILED, 106.0) is None
    for _ in range(3):
        call(one, GOOD, 106.0)
    assert one.state is CLOSED


def test_a_probe_that_hangs_opens_it_again() -> None:
    one = breaker(hang_s=10.0)
    now_s = cut(one) + 5.0
    assert one.begin(now_s) is not None
    one.tick(now_s + 9.9)
    assert one.state is HALF_OPEN
    one.tick(now_s + 10.0)
    assert one.state is OPEN
    assert one.transitions[-1].why == "a probe hangs"


def test_a_call_is_slow_by_an_absolute_limit() -> None:
    one = breaker(slow_s=2.0, windows=1)
    for _ in range(5):
        call(one, GOOD, 10.0, took_s=2.0)
    one.tick(11.0)
    assert one.state is OPEN
    assert "slow" in one.transitions[-1].why


def test_a_call_is_slow_by_what_is_usual_for_its_rows() -> None:
    one = breaker(slow_s=0.0, slow_ratio=10.0, slow_least_s=0.5, windows=1)

    def calls(took_s: float, rows: int, at_s: float) -> BreakerState:
        for _ in range(5):
            call(one, GOOD, at_s, took_s, rows)
        one.tick(at_s + 1.0)
        return one.state

    assert calls(0.9, 8, 10.0) is CLOSED, "nothing is known yet"
    assert calls(0.06, 1, 20.0) is CLOSED
    assert calls(2.0, 8, 30.0) is CLOSED, "8 rows take longer"
    assert calls(0.45, 1, 40.0) is CLOSED, "7 times, and below the least"
    assert calls(3.0, 1, 50.0) is OPEN


def test_what_stays_slow_becomes_usual_in_the_end() -> None:
    one = breaker(slow_s=0.0, slow_ratio=10.0, slow_least_s=0.0, windows=1, open_max_s=5.0)
    for at_s in (10.0, 20.0):
        for _ in range(5):
            call(one, GOOD, at_s, 0.1)
        one.tick(at_s + 1.0)
    for _ in range(5):
        call(one, GOOD, 40.0, 5.0)
    one.tick(41.0)
    now_s, rounds = 41.0, 0
    while one.state is not CLOSED:
        now_s += 10.0
        rounds += 1
        while one.state is not CLOSED and call(one, GOOD, now_s, 5.0):
            pass
        assert rounds < 20
    assert rounds > 3


def test_the_log_of_states_is_bounded() -> None:
    one = breaker(open_s=1.0, open_max_s=1.0)
    now_s = cut(one)
    for _ in range(200):
        now_s += 2.0
        call(one, FAILED, now_s)
    assert len(one.transitions) == MAX_TRANSITIONS
    assert one.changes == 401


def test_switched_off_it_never_opens() -> None:
    one = breaker(enabled=False)
    for at_s in range(10):
        window(one, 0, 50, float(at_s))
    assert one.admits(100.0)


@pytest.mark.parametrize("field", ["window_s", "windows", "min_calls", "bad_ratio", "probes"])
def test_settings_have_bounds(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        BreakerSettings.model_validate({field: 0})


def test_the_longest_pause_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ValueError, match="open_max_s"):
        BreakerSettings(open_s=10, open_max_s=5)


def test_while_all_is_well_nothing_is_looked_at() -> None:
    one = breaker(hang_s=10.0)
    assert one.quiet_until_s < 0.0
    one.tick(0.0)
    assert one.quiet_until_s == 1.0, "a window that begins now is over by then"
    number = one.begin(0.5)
    assert number is not None
    assert one.end_good(number, 0.6)
    assert not one.end_good(number, 0.6), "it has ended"
    one.tick(1.0)
    assert one.quiet_until_s == 1.6, "the window began with the call that ended in it"
    number = one.begin(1.0)
    assert number is not None
    assert not one.end_good(number, 1.6), "the window may be over"
    one.end(number, GOOD, 1.6)
    cut(one, 20.0)
    assert one.quiet_until_s < 0.0


def test_a_long_call_is_never_counted_in_passing() -> None:
    one = breaker(slow_ratio=10.0, slow_least_s=0.5, window_s=100.0)
    one.tick(0.0)
    number = one.begin(0.0)
    assert number is not None
    assert not one.end_good(number, 0.5)
