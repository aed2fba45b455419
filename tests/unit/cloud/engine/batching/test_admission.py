from __future__ import annotations

import contextlib
import heapq

import pytest
from support.batching import pending

from secondlook.cloud.engine.batching.admission import (
    CAUTION,
    FORGET_S,
    LATE,
    MOST_CAUTION,
    ONCE_S,
    TENANTS,
    Admission,
)
from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.pace import Pace
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import Overloaded


def admission(seconds: float = 0.1, instances: int = 1) -> Admission:
    pace = Pace(1)
    pace.record(1, seconds)
    return Admission(pace, instances)


def test_what_is_not_known_is_not_predicted() -> None:
    assert Admission(Pace(1), 1).predict_s(1000, 1, 5.0) is None


def test_the_prediction_is_what_runs_and_what_waits_and_itself() -> None:
    assert admission().predict_s(4, 1, 0.05) == pytest.approx((0.05 + 0.4, 0.1))
    assert admission(instances=2).predict_s(4, 1, 0.05) == pytest.approx((0.05 + 0.2, 0.1))
    assert admission().relief_s(4) == pytest.approx(0.5)


def test_who_would_be_too_late_is_refused_and_told_when_to_come_again() -> None:
    door = admission()
    door.check("t", 0.0, 0.5 * CAUTION + 0.1, (0.5, 0.1))
    with pytest.raises(Overloaded, match=r"0\.600 s") as refused:
        door.check("t", 0.0, 0.5, (0.5, 0.1))
    assert refused.value.retry_after_s == pytest.approx(0.5 * CAUTION + 0.1 - 0.5)


def test_the_prediction_follows_what_batches_really_take() -> None:
    door = admission(0.1)
    for took_s in [0.05, 0.25] * 50:
        door.ran(0.1, took_s)
    assert door.relief_s(4) == pytest.approx(1.5 * 0.5, rel=0.1)
    for _ in range(100):
        door.ran(0.1, 0.01)
    assert door.relief_s(4) == pytest.approx(0.5), "never below the pace"


def test_late_answers_make_it_careful_and_time_makes_it_bold() -> None:
    door = admission()
    for n in range(10):
        door.late("t", n * ONCE_S)
    careful = door.margin("t", 10 * ONCE_S)
    assert CAUTION * LATE**5 < careful < CAUTION * LATE**10
    assert door.margin("another", 2.0) == CAUTION
    for n in range(10, 100):
        door.late("t", n * ONCE_S)
    assert door.margin("t", 10.0) == pytest.approx(MOST_CAUTION, rel=0.01)
    assert door.margin("t", 10.0 + FORGET_S) < 1.0 + MOST_CAUTION / 3
    assert door.margin("t", 1000.0) == pytest.approx(CAUTION, rel=0.01)


def test_what_is_late_at_once_is_late_for_one_reason() -> None:
    door = admission()
    for _ in range(1000):
        door.late("t", 1.0)
    assert door.margin("t", 1.0) == pytest.approx(CAUTION * LATE)


def test_margins_are_bounded() -> None:
    door = admission()
    for n in range(3 * TENANTS):
        door.late(f"t{n}", 1.0)
    assert len(door._margins) == TENANTS
    assert door.most_margin() == pytest.approx(CAUTION * LATE)


def test_an_idle_device_refuses_nobody() -> None:
    clock = ManualClock(0.0)
    dispatch = Dispatch(Policy(), 1, clock)
    # Whatever has been measured once may have changed; only running tells.
    dispatch.pace.record(1, 100.0)
    dispatch.put(pending(deadline_s=0.001))
    with pytest.raises(Overloaded):
        dispatch.put(pending(deadline_s=0.001))


SERVICE_S = 0.01


def simulate(
    load: float, *, allowed_s: float = 0.2, seconds: float = 20.0, slower: float = 1.0
) -> tuple[float, float, int]:
    """One thread, open arrivals, a clock of its own.

    Args:
        load: arrivals as a multiple of what the thread can do.
        allowed_s: of every request.
        seconds: how long.
        slower: half-way, each batch takes so many times longer.

    Returns:
        Answers in time as a share of capacity, the longest wait for an answer that was in time as
        a share of what is allowed, and how many came too late.
    """
    clock = ManualClock(0.0)
    dispatch = Dispatch(Policy(max_queue=10_000), 1, clock)
    seat = dispatch.seats[0]
    service_s = SERVICE_S
    events = [(n * SERVICE_S / load, n, None) for n in range(int(seconds * load / SERVICE_S))]
    heapq.heapify(events)
    good = late = 0
    longest_s = 0.0
    running = None
    order = len(events)
    while events:
        at_s, _, done = heapq.heappop(events)
        clock.advance(at_s - clock.monotonic())
        if at_s > seconds / 2:
            service_s = SERVICE_S * slower
        if done is None:
            with contextlib.suppress(Overloaded):
                dispatch.put(pending(deadline_s=at_s + allowed_s, queued_s=at_s))
        else:
            waited_s = at_s - done.queued_s
            on_time = waited_s <= allowed_s
            good, late = good + on_time, late + (not on_time)
            if on_time:
                longest_s = max(longest_s, waited_s)
            if not on_time:
                dispatch.late(done)
            running = None
        while running is None and dispatch.waiting:
            job = dispatch.next(seat)
            assert job is not None
            late += len(job.late)
            for request in job.late:
                dispatch.late(request)
            if job.batch:
                (running,) = job.batch
                order += 1
                heapq.heappush(events, (clock.monotonic() + service_s, order, running))
    return good * SERVICE_S / seconds, longest_s / allowed_s, late


@pytest.mark.parametrize("load", [1.5, 3.0, 10.0])
def test_goodput_stays_at_capacity_under_overload(load: float) -> None:
    goodput, longest, late = simulate(load)
    assert goodput > 0.95
    assert longest <= 1.0
    assert late == 0


@pytest.mark.parametrize("services", [2, 3, 5])
def test_deadlines_of_a_few_calls_leave_the_device_busy(services: int) -> None:
    goodput, _, late = simulate(3.0, allowed_s=services * SERVICE_S)
    assert goodput > 0.9
    assert late < 0.01 * 20 / SERVICE_S


def test_below_capacity_nobody_is_refused() -> None:
    goodput, _, late = simulate(0.9)
    assert goodput == pytest.approx(0.9, rel=0.01)
    assert late == 0


def test_a_machine_that_becomes_slower_is_learned() -> None:
    goodput, _, late = simulate(3.0, slower=2.0)
    # Half the time at full speed, half at half of it.
    assert goodput > 0.75 * 0.95
    assert late < 0.03 * 20 / SERVICE_S * 0.75
