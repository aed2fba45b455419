from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from secondlook.cloud.engine.batching.pace import KEEP, LOOK_AGAIN, Pace
from secondlook.cloud.engine.batching.waiting import worth_waiting


def cpu(rows: int) -> float:
    """Batching saves four percent a row."""
    return 0.01 * rows * (1.0 if rows == 1 else 0.96)


def gpu(rows: int) -> float:
    """A call costs the same up to 16 rows, more beyond."""
    return 0.02 + 0.002 * max(0, rows - 16)


def run(pace: Pace, network: Callable[[int], float], batches: int, waiting: int = 64) -> list[int]:
    """Let it choose and learn; the sizes that it chose."""
    sizes = []
    for _ in range(batches):
        size = pace.size(waiting, 64)
        sizes.append(size)
        pace.record(size, network(size))
    return sizes


def test_nothing_is_known_at_first() -> None:
    pace = Pace(8)
    assert pace.seconds(1) is None
    assert pace.rate(8) is None
    assert pace.least_s(1) == 0.0
    assert pace.size(8, 8) == 1, "the first call is a small one"


def test_where_batching_buys_nothing_it_runs_small() -> None:
    pace = Pace(64)
    sizes = Counter(run(pace, cpu, 1000))
    assert sizes[1] > 950
    assert max(sizes) <= 2, "it does not look at sizes beyond one that did not pay"


def test_where_batching_is_everything_it_runs_large() -> None:
    pace = Pace(64)
    sizes = run(pace, gpu, 1000)
    assert pace.best(64) == 16
    assert sizes.count(16) > 950
    assert sizes[:12] == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32], "it gets there by doubling"


def test_it_takes_what_waits_where_that_is_as_good() -> None:
    pace = Pace(64)
    run(pace, gpu, 100)
    assert pace.size(11, 64) == 11
    assert pace.size(11, 4) == 4


def test_it_makes_the_batch_smaller_for_a_near_deadline() -> None:
    pace = Pace(64)
    run(pace, lambda rows: 0.01 + 0.005 * rows, 100)
    large = pace.size(64, 64)
    small = pace.size(64, 64, slack_s=0.05)
    assert small < large
    assert pace.seconds(small) <= 0.05  # type: ignore[operator]
    assert pace.size(64, 64, slack_s=0.0) == 1


def test_one_hiccup_changes_nothing() -> None:
    pace = Pace(64)
    run(pace, gpu, 200)
    before = pace.best(64)
    pace.record(before, 30.0)
    assert pace.best(64) == before
    assert pace.seconds(before) == pytest.approx(gpu(before))


def test_the_first_run_of_a_size_is_not_what_it_takes() -> None:
    pace = Pace(64)
    pace.record(1, 5.0)
    pace.record(1, 0.02)
    assert pace.seconds(1) == 0.02


def test_it_follows_a_machine_that_changes() -> None:
    pace = Pace(64)
    run(pace, cpu, 200)
    assert pace.size(64, 64) == 1
    sizes = run(pace, gpu, 60 * LOOK_AGAIN)
    assert pace.best(64) >= 16
    assert sizes[-1] >= 16


def test_bad_times_are_not_held_against_a_size() -> None:
    pace = Pace(8)
    for _ in range(2 * KEEP):
        pace.record(1, 5.0)
        pace.record(2, 0.02)
    assert pace.size(8, 8) > 1
    # Meanwhile the machine is idle again, and one row takes what it should.
    sizes = run(pace, cpu, 6 * LOOK_AGAIN, waiting=8)
    assert sizes[-1] == 1


@pytest.mark.parametrize(("rows", "expected"), [(1, 1.0), (3, 3.0), (6, 5.0), (16, 10.0)])
def test_between_and_beyond_what_was_run(rows: int, expected: float) -> None:
    pace = Pace(64)
    for size, seconds in ((1, 1.0), (2, 2.0), (4, 4.0), (8, 6.0)):
        pace.record(size, seconds)
    assert pace.seconds(rows) == pytest.approx(expected)


def test_preferred_sizes_are_chosen_from() -> None:
    pace = Pace(32, preferred=(4, 16))
    sizes = set(run(pace, gpu, 200, waiting=32))
    assert sizes <= {1, 4, 16, 32}
    assert pace.best(20) in (16, 20)


def test_the_least_is_known_once_enough_was_seen() -> None:
    pace = Pace(4)
    for n in range(KEEP):
        pace.record(1, 1.0 + n)
    assert pace.least_s(1) == 0.0, "the first run does not count"
    pace.record(1, 9.0)
    assert pace.least_s(1) == 2.0


@pytest.mark.parametrize(
    ("network", "rows", "preferred", "expected", "target"),
    [
        (cpu, 1, (), 10, 0),
        (gpu, 1, (), 10, 11),
        (gpu, 1, (), 0, 0),
        (gpu, 1, (4, 8), 10, 4),
        (gpu, 4, (4, 8), 10, 0),
        (gpu, 5, (4, 8), 10, 8),
        (gpu, 16, (), 10, 0),
        (gpu, 15, (), 10, 0),
    ],
)
def test_an_idle_device_waits_only_where_it_pays(
    network: Callable[[int], float],
    rows: int,
    preferred: tuple[int, ...],
    expected: int,
    target: int,
) -> None:
    pace = Pace(16)
    for size in (1, 2, 4, 8, 16):
        pace.record(size, network(size))
    assert worth_waiting(pace, rows, 16, preferred, expected) == target


def test_nobody_waits_for_what_is_not_known() -> None:
    assert worth_waiting(Pace(16), 1, 16, (), 10) == 0


def test_noise_chooses_no_size() -> None:
    """Rows side by side gain next to nothing, and durations swing by a third: small ones serve."""
    chosen = Counter[int]()
    for seed in range(5):
        rng = random.Random(seed)
        pace = Pace(8)
        for _ in range(1500):
            rows = pace.size(8, 8)
            chosen[rows] += rows
            pace.record(rows, (0.0006 + 0.005 * rows) * math.exp(rng.gauss(0, 0.3)))
    assert chosen[4] + chosen[8] < 0.25 * sum(chosen.values())


def test_noise_hides_no_gain() -> None:
    pace = Pace(64)
    rng = random.Random(1)
    chosen = Counter[int]()
    for _ in range(1000):
        rows = pace.size(64, 64)
        chosen[rows] += 1
        pace.record(rows, gpu(rows) * math.exp(rng.gauss(0, 0.3)))
    assert pace.best(64) == 16
    assert chosen[16] > 0.8 * 1000
