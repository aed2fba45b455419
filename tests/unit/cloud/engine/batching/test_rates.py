from __future__ import annotations

import pytest

from secondlook.cloud.engine.batching.rates import (
    INLINE_AFTER,
    INLINE_S,
    OVER_S,
    ROW_S,
    SLOW_S,
    STALLED_S,
    Arrivals,
    Quickness,
    effort_s,
)


def test_a_steady_stream_is_measured() -> None:
    arrivals = Arrivals()
    for n in range(1000):
        arrivals.add(2, n * 0.01)
    assert arrivals.per_s(10.0) == pytest.approx(200.0, rel=0.02)


def test_what_was_is_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.add(100, 5.0)
    assert arrivals.per_s(5.0) == 100.0
    assert arrivals.per_s(5.0 + 10 * OVER_S) < 0.01
    arrivals.add(1, 4.0)  # of another thread's clock, a little behind
    assert arrivals.per_s(5.0) == 101.0


def quick(calls: int) -> Quickness:
    made = Quickness()
    for _ in range(calls):
        made.took(1, INLINE_S / 2)
    return made


def test_it_takes_a_while_to_be_quick() -> None:
    assert not quick(INLINE_AFTER - 1).holds
    assert quick(INLINE_AFTER).holds


def test_a_busy_machine_changes_nothing_but_a_slow_network_does() -> None:
    network = quick(1000)
    for _ in range(100):
        for _ in range(9):
            network.took(1, INLINE_S / 2)
        network.took(1, 10 * INLINE_S)
        assert network.holds
    for _ in range(4 * INLINE_AFTER):
        network.took(1, 2 * INLINE_S)
        assert network.holds
    for _ in range(4 * INLINE_AFTER):
        network.took(1, 2 * SLOW_S)
    assert not network.holds


def test_what_is_neither_quick_nor_slow_does_not_become_quick() -> None:
    network = quick(0)
    for _ in range(1000):
        network.took(1, 2 * INLINE_S)
    assert not network.holds


def test_one_stall_is_enough() -> None:
    network = quick(1000)
    network.took(1, 2 * STALLED_S)
    assert not network.holds


def test_a_long_call_of_many_rows_says_nothing_about_one() -> None:
    network = quick(INLINE_AFTER)
    network.took(16, 10 * INLINE_S)
    assert network.holds


def test_a_call_that_waits_for_the_interpreter_is_judged_by_what_it_computes() -> None:
    assert effort_s(1e-5, 1.5e-3) <= INLINE_S
    # But one that waits for something else is not quick, however little it computes.
    assert effort_s(1e-5, 5e-3) > INLINE_S
    assert effort_s(2e-4, 2e-4) > INLINE_S
    assert effort_s(1e-5, 2 * STALLED_S) == 2 * STALLED_S


def test_a_thread_that_gets_many_rows_at_once_is_seen_to_be_quick() -> None:
    network = quick(0)
    for _ in range(INLINE_AFTER):
        network.took(16, 16 * ROW_S)
    assert network.holds
    slow = quick(0)
    for _ in range(1000):
        slow.took(16, 16 * INLINE_S)
    assert not slow.holds
