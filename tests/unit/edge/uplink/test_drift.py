"""What was sent for questions that were given up stays paid until it has passed."""

from __future__ import annotations

import anyio
import pytest
from support.waiting import until

from secondlook.edge.uplink import drift
from secondlook.edge.uplink.drift import LONGEST_S, Drift
from secondlook.shared.clock import ManualClock

pytestmark = pytest.mark.anyio


class Purse:
    """A `Fare` that says when it was closed."""

    def __init__(self) -> None:
        self.closed: list[float] = []

    def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
        raise AssertionError("nothing more is sent")

    def close(self, now_s: float) -> None:
        self.closed.append(now_s)


def put(adrift: Drift, clock: ManualClock) -> Purse:
    purse = Purse()
    adrift.put(purse)
    clock.advance(1.0)
    return purse


def test_what_was_sent_before_something_that_was_answered_has_passed() -> None:
    clock = ManualClock()
    adrift, began_s = Drift(clock), clock.monotonic()
    first, second = put(adrift, clock), put(adrift, clock)
    adrift.passed(began_s - 0.5)
    assert len(adrift) == 2, "an answer to what went before says nothing"
    adrift.passed(began_s + 0.5)
    assert (first.closed, second.closed) == ([clock.monotonic()], [])
    adrift.passed(began_s + 1.5)
    assert second.closed == [clock.monotonic()]
    assert len(adrift) == 0


def test_nothing_is_held_for_ever() -> None:
    clock = ManualClock()
    adrift = Drift(clock)
    purse = put(adrift, clock)
    clock.advance(LONGEST_S - 1.5)
    adrift.passed(float("-inf"))
    assert purse.closed == []
    clock.advance(1.0)
    adrift.passed(float("-inf"))
    assert purse.closed == [clock.monotonic()]


def test_at_the_end_all_is_closed() -> None:
    clock = ManualClock()
    adrift = Drift(clock)
    purses = [put(adrift, clock), put(adrift, clock)]
    adrift.close()
    assert [len(purse.closed) for purse in purses] == [1, 1]


async def test_health_checks_go_after_it_and_only_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "PROBE_EVERY_S", 0.001)
    clock = ManualClock()
    adrift, checks = Drift(clock), 0

    async def answers() -> bool:
        nonlocal checks
        checks += 1
        if checks < 3:
            return False
        adrift.passed(clock.monotonic())
        return True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(adrift.watch, answers)
        await anyio.lowlevel.checkpoint()
        assert checks == 0
        purse = put(adrift, clock)
        await until(lambda: bool(purse.closed))
        assert checks == 3
        tasks.cancel_scope.cancel()
