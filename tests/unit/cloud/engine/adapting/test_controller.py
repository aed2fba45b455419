from __future__ import annotations

import heapq
import itertools
import random
import statistics

import pytest

from secondlook.cloud.engine.adapting.controller import (
    CALM,
    MISSED,
    STEADY,
    Candidate,
    Choice,
    Controller,
    Seen,
)

FP32 = Candidate("3", "fp32", 0.0, 1, {1: 0.02})
FP16 = Candidate("3", "fp16", 0.001, 1, {1: 0.012})
INT8 = Candidate("3", "int8", 0.02, 1, {1: 0.005})
READY = [FP32, FP16, INT8]
OBJECTIVE_S = 0.1

EASY = Seen(0.025, 0, 10.0)
"""What fp32 holds with room to spare."""


def settle(controller: Controller, seen: Seen, windows: int, ready: list[Candidate]) -> Choice:
    choice = controller.decide(seen, ready)
    for _ in range(windows - 1):
        choice = controller.decide(seen, ready)
    return choice


def test_the_first_is_used_while_it_holds() -> None:
    choice = settle(Controller(OBJECTIVE_S), EASY, 100, READY)
    assert (choice.version, choice.variant) == ("3", "fp32")


def test_it_goes_down_as_far_as_it_must_and_says_why() -> None:
    controller = Controller(OBJECTIVE_S)
    busy = Seen(0.4, 20, 60.0)
    assert settle(controller, busy, MISSED - 1, READY).variant == "fp32", "one bad window is none"
    choice = controller.decide(busy, READY)
    assert choice.variant == "fp16"
    assert (
        "fp32 took 400 ms at 60 rows/s, objective 100 ms; costs 0.1% of accuracy" in choice.reason
    )


def test_it_passes_over_what_would_not_hold_either() -> None:
    choice = settle(Controller(OBJECTIVE_S), Seen(0.4, 20, 120.0), MISSED, READY)
    assert choice.variant == "int8"


def test_what_cannot_keep_up_is_left_even_if_all_that_was_let_in_was_in_time() -> None:
    # Admission control keeps what is answered within its deadline.
    choice = settle(Controller(OBJECTIVE_S), Seen(0.09, 4, 70.0), MISSED, READY)
    assert choice.variant != "fp32"
    assert "could not keep up" in choice.reason


@pytest.mark.parametrize("rate", [400.0, 4000.0])
def test_where_none_holds_it_takes_the_fastest(rate: float) -> None:
    choice = settle(Controller(OBJECTIVE_S), Seen(0.5, 99, rate), MISSED, READY)
    assert choice.variant in ("int8", "fp32")
    settled = settle(Controller(0.001), Seen(0.03, 0, 1.0), MISSED, READY)
    assert settled.variant == "int8"


def test_it_goes_up_again_once_that_held_for_long() -> None:
    controller = Controller(OBJECTIVE_S)
    settle(controller, Seen(0.4, 20, 120.0), MISSED, READY)
    assert settle(controller, Seen(0.006, 0, 10.0), CALM - 1, READY).variant == "int8"
    choice = controller.decide(Seen(0.006, 0, 10.0), READY)
    assert choice.variant == "fp32"
    assert "holds 100 ms again" in choice.reason


def test_a_move_up_that_fails_makes_the_next_wait_longer() -> None:
    controller = Controller(OBJECTIVE_S)
    calm, bad = Seen(0.006, 0, 10.0), Seen(0.4, 20, 10.0)
    ready = [FP32, INT8]
    waits = []
    for _ in range(4):
        settle(controller, bad, MISSED, ready)
        windows = 1
        while controller.decide(calm, ready).variant == "int8":
            windows += 1
        waits.append(windows)
    assert waits == [CALM, 2 * CALM, 4 * CALM, 8 * CALM]


def test_what_was_not_measured_is_not_used() -> None:
    ready = [FP32, Candidate("3", "int8", None, 1, {1: 0.005})]
    assert settle(Controller(OBJECTIVE_S), Seen(0.4, 20, 60.0), 100, ready).variant == "fp32"


def test_what_has_not_run_is_judged_by_its_measured_speed() -> None:
    slow = Candidate("3", "fp16", 0.001, 1, speed=1.1)
    fast = Candidate("3", "int8", 0.02, 1, speed=4.0)
    ready = [FP32, slow, fast]
    assert settle(Controller(OBJECTIVE_S), Seen(0.4, 20, 60.0), MISSED, ready).variant == "int8"


def test_one_that_is_gone_is_left() -> None:
    controller = Controller(OBJECTIVE_S)
    settle(controller, Seen(0.4, 20, 120.0), MISSED, READY)
    assert controller.decide(EASY, [FP32, FP16]).variant == "fp32"
    older = Candidate("2", "fp32", 0.0, 1, {1: 0.02})
    assert controller.decide(EASY, [older]).version == "2"
    with pytest.raises(ValueError, match="no candidate"):
        controller.decide(EASY, [])


def test_the_batch_limit_holds_the_objective() -> None:
    wide = Candidate("1", "fp32", 0.0, 16, {1: 0.01, 2: 0.018, 4: 0.03, 8: 0.055, 16: 0.1})
    controller = Controller(OBJECTIVE_S)
    choice = settle(controller, EASY, STEADY, [wide])
    assert choice.limit == 4, "twice 30 ms lie within 100 ms, twice 55 do not"
    slower = Candidate("1", "fp32", 0.0, 16, {1: 0.02, 2: 0.06})
    assert controller.decide(EASY, [slower]).limit == 4, "not at once"
    assert settle(controller, EASY, STEADY, [slower]).limit == 1


def simulate(rates: list[float], seed: int = 1) -> list[tuple[str, float]]:
    """A single server under random arrivals, one rate a window of a second, with the controller.

    Returns:
        The variant of each window, and the 95th percentile that was seen in it.
    """
    rng = random.Random(seed)
    controller = Controller(OBJECTIVE_S)
    service = {candidate.variant: candidate.seconds[1] for candidate in READY}
    variant, free_s, waiting = "fp32", 0.0, [0.0]
    told = []
    for window, rate in enumerate(rates):
        at_s, waits = float(window), []
        arrivals = 0
        while True:
            at_s += rng.expovariate(rate)
            if at_s >= window + 1:
                break
            arrivals += 1
            while waiting and waiting[0] <= at_s:
                heapq.heappop(waiting)
            start_s = max(at_s, free_s)
            if start_s - at_s > 5 * OBJECTIVE_S:
                continue  # refused
            free_s = start_s + service[variant]
            heapq.heappush(waiting, free_s)
            waits.append(free_s - at_s)
        p95_s = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else None
        backlog = sum(end_s > window + 1 for end_s in waiting)
        variant = controller.decide(Seen(p95_s, backlog, arrivals), READY).variant
        told.append((variant, p95_s or 0.0))
    return told


def test_a_day_of_traffic() -> None:
    """Calm, a rush hour, calm again: accuracy where there is time, else speed."""
    told = simulate([10.0] * 60 + [120.0] * 120 + [10.0] * 120)
    assert all(variant == "fp32" for variant, _ in told[:60])
    assert all(variant == "int8" for variant, _ in told[75:180])
    held = [p95_s <= OBJECTIVE_S for _, p95_s in told[70:180]]
    assert sum(held) / len(held) > 0.95
    assert all(variant == "fp32" for variant, _ in told[-60:])
    changes = sum(a[0] != b[0] for a, b in itertools.pairwise(told))
    assert changes <= 4


@pytest.mark.parametrize("rate", [30.0, 38.0, 42.0, 46.0, 55.0, 70.0])
def test_a_load_at_the_edge_settles(rate: float) -> None:
    told = simulate([rate] * 1500, seed=int(rate))
    changes = sum(a[0] != b[0] for a, b in itertools.pairwise(told))
    assert changes <= 12
