from __future__ import annotations

import pytest
from support.batching import pending
from support.queueing import Device, Heard, Played, play

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
    assert door.margin("t", 10.0 + FORGET_S) < CAUTION + 0.4 * (MOST_CAUTION - CAUTION)
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
EXACT = Device(row_s=SERVICE_S)
NOISY = Device(call_s=0.0006, row_s=0.005, noise=0.3)
STALLING = Device(call_s=0.0006, row_s=0.005, noise=0.1, stall_share=0.005, stall_s=0.04)
DISTURBED = Device(call_s=0.0006, row_s=0.005, noise=0.1, slow_every_s=3.0)


def loaded(
    load: float,
    device: Device,
    *,
    allowed_s: float = 0.2,
    seconds: float = 15.0,
    max_batch: int = 1,
    tenants: int = 1,
    seed: int = 0,
) -> Played:
    """Load as a multiple of what the device can do undisturbed."""
    per_s = load * max_batch / device.mean_s(max_batch)
    return play(
        {f"t{n}": per_s / tenants for n in range(tenants)},
        device,
        seconds=seconds,
        allowed_s=allowed_s,
        policy=Policy(max_batch=max_batch, max_queue=10_000),
        seed=seed,
    )


@pytest.mark.parametrize("load", [1.5, 3.0, 10.0])
def test_goodput_stays_at_capacity_under_overload(load: float) -> None:
    played = loaded(load, EXACT)
    assert played.per_s * SERVICE_S > 0.95
    assert played.all.late == 0


@pytest.mark.parametrize("services", [2, 3, 5])
def test_deadlines_of_a_few_calls_leave_the_device_busy(services: int) -> None:
    played = loaded(3.0, EXACT, allowed_s=services * SERVICE_S)
    assert played.per_s * SERVICE_S > 0.9
    assert played.all.late_share < 0.01


@pytest.mark.parametrize(
    ("device", "most_late"),
    [
        (NOISY, 0.002),
        pytest.param(STALLING, 0.006, marks=pytest.mark.heavy),
        pytest.param(DISTURBED, 0.01, marks=pytest.mark.heavy),
    ],
    ids=["noisy", "stalling", "disturbed"],
)
def test_what_is_let_in_is_answered_in_time_whatever_the_device_does(
    device: Device, most_late: float
) -> None:
    total = Heard()
    for seed in range(2):
        played = loaded(3.0, device, allowed_s=0.25, max_batch=8, tenants=3, seed=seed)
        assert played.per_s > 0.95 * played.capacity_per_s
        total.waits_s += played.all.waits_s
        total.late += played.all.late
    assert total.late_share < most_late
    assert total.quantile_s(0.99) <= 0.25


def test_tenants_whose_turns_change_break_no_promise() -> None:
    # Deadlines of a few calls, so that each tenant is often idle and comes back before others.
    played = loaded(3.0, Device(0.0006, 0.005), allowed_s=0.06, max_batch=8, tenants=3)
    assert played.all.late_share < 0.002
    assert played.per_s > 0.95 * played.capacity_per_s


def test_below_capacity_hardly_anybody_is_refused() -> None:
    played = loaded(0.85, EXACT, allowed_s=0.25)
    assert played.all.refused < 0.005 * len(played.all.waits_s)
    assert played.all.late == 0


def test_a_machine_that_becomes_slower_is_learned() -> None:
    device = Device(row_s=SERVICE_S, slow_every_s=1e9, slow_for_s=1e9, slow_most=3.0)
    played = loaded(3.0, device)
    assert played.capacity_per_s * SERVICE_S < 0.9
    assert played.per_s > 0.95 * played.capacity_per_s
    assert played.all.late_share < 0.01
