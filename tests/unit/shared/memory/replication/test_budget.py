"""Bytes a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.shared.clock import ManualClock
from secondlook.shared.memory.replication.budget import ByteBudget

pytestmark = pytest.mark.anyio


class Sleeper:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.slept_s = 0.0

    async def __call__(self, seconds: float) -> None:
        self.slept_s += seconds
        self.clock.advance(seconds)


def budget(bytes_per_s: float, burst: float) -> tuple[ByteBudget, Sleeper]:
    clock = ManualClock()
    sleeper = Sleeper(clock)
    return ByteBudget(bytes_per_s, burst, clock, sleeper), sleeper


async def test_a_burst_passes_at_once_and_its_debt_is_waited_for() -> None:
    account, sleeper = budget(100, 1000)
    await account.ready()
    account.spend(1000)
    await account.ready()
    assert sleeper.slept_s == 0
    account.spend(500)
    await account.ready()
    assert sleeper.slept_s == pytest.approx(5)


async def test_a_quiet_time_saves_no_more_than_the_burst() -> None:
    account, sleeper = budget(100, 1000)
    sleeper.clock.advance(3600)
    account.spend(1500)
    await account.ready()
    assert sleeper.slept_s == pytest.approx(5)


async def test_without_a_limit_nothing_waits() -> None:
    account, sleeper = budget(0, 1000)
    account.spend(10**12)
    await account.ready()
    assert sleeper.slept_s == 0


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=50))
async def test_over_any_time_no_more_passes_than_it_earns(sizes: list[int]) -> None:
    account, sleeper = budget(100, 1000)
    for size in sizes:
        await account.ready()
        account.spend(size)
    # The last message may overdraw the account.
    assert sum(sizes[:-1]) <= 1000 + 100 * sleeper.slept_s + 1e-6 * len(sizes)


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 30)), min_size=1, max_size=50))
async def test_what_is_weighed_before_it_is_sent_overdraws_nothing(
    turns: list[tuple[int, int]],
) -> None:
    account, sleeper = budget(100, 1000)
    sent: list[tuple[float, int]] = []
    for size, quiet_s in turns:
        sleeper.clock.advance(quiet_s)
        await account.ready(size)
        account.spend(size)
        sent.append((sleeper.clock.monotonic(), size))
    for first, (began_s, _) in enumerate(sent):
        passed = 0
        for at_s, size in sent[first:]:
            passed += size
            assert passed <= 1000 + 100 * (at_s - began_s) + 1e-3


async def test_what_is_larger_than_the_burst_goes_when_all_is_there() -> None:
    account, sleeper = budget(100, 1000)
    account.spend(400)
    await account.ready(5000)
    assert sleeper.slept_s == pytest.approx(4)
