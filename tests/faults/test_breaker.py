"""A backend that fails, hangs and slows is cut off within its windows, and recovers by itself.

The log of states is printed: ``pytest -s tests/faults/test_breaker.py``.
"""

from __future__ import annotations

import random
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.backends_sick import SickBackend

from secondlook.cloud.stability import (
    BreakerMetrics,
    BreakerSettings,
    BreakerState,
    Guard,
    GuardedBackend,
)
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import ModelFailure, Unavailable

SETTINGS = BreakerSettings(window_s=2.0, windows=3, min_calls=5, open_s=5.0, hang_s=10.0)
CLOSED, OPEN = BreakerState.CLOSED, BreakerState.OPEN


class Patient:
    """A backend in a thread of its own, as in the batcher, and requests that come once a step."""

    def __init__(self) -> None:
        self.clock = ManualClock(monotonic_s=0.0)
        self.backend = SickBackend(clock=self.clock)
        self.guard = Guard(
            "patient:1",
            SETTINGS,
            BreakerMetrics(CollectorRegistry()),
            self.clock,
            random.Random(7),
        )
        self.guarded = GuardedBackend(self.backend, self.guard)
        self.thread = ThreadPoolExecutor(1)
        self.heard: list[str] = []

    def send(self) -> Future[Any]:
        """One request past the door, to the thread.

        Raises:
            Unavailable: at once, while it is cut off.
        """
        self.guard.check()
        return self.thread.submit(self.guarded.run, {"x": np.ones((1, 2), np.float32)})

    def ask(self) -> str:
        """What one request hears."""
        try:
            self.send().result(30)
        except Unavailable:
            return "unavailable"
        except ModelFailure:
            return "failed"
        return "answered"

    def ask_for(self, seconds: float, step_s: float = 0.25) -> list[str]:
        """What requests hear, one each step."""
        heard = []
        until_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until_s:
            heard.append(self.ask())
            self.clock.advance(step_s)
        self.heard += heard
        return heard

    def ask_until(self, state: BreakerState, at_most_s: float) -> float:
        """Ask on until it is in that state; the seconds it took."""
        began_s = self.clock.monotonic()
        while self.guard.state is not state:
            assert self.clock.monotonic() - began_s < at_most_s, self.log()
            self.ask_for(0.25)
        return self.clock.monotonic() - began_s

    def log(self) -> str:
        """The log of states."""
        return "\n".join(f"  {self.guard.name} {change}" for change in self.guard.states())


@pytest.fixture
def patient() -> Any:
    one = Patient()
    yield one
    one.backend.come_back()
    one.thread.shutdown()
    sys.stdout.write(f"\n{one.log()}\n")


CUT_WITHIN_S = SETTINGS.windows * SETTINGS.window_s + 1.0
LONGEST_PAUSE_S = SETTINGS.open_max_s * (1 + SETTINGS.jitter) + 1.0


def test_one_that_fails_is_cut_and_recovers(patient: Patient) -> None:
    assert set(patient.ask_for(10.0)) == {"answered"}
    patient.backend.broken = True
    patient.ask_until(OPEN, CUT_WITHIN_S)
    calls = patient.backend.entered._value
    assert set(patient.ask_for(2.0)) == {"unavailable"}
    assert patient.backend.entered._value == calls, "nothing reaches it"
    heard = patient.ask_for(200.0)
    assert heard.count("failed") < 10, "only probes reach it"
    assert "answered" not in heard
    patient.backend.broken = False
    patient.ask_until(CLOSED, LONGEST_PAUSE_S)
    assert set(patient.ask_for(10.0)) == {"answered"}


def test_one_that_slows_is_cut_and_recovers(patient: Patient) -> None:
    patient.backend.takes_s = 0.08
    assert set(patient.ask_for(10.0)) == {"answered"}
    patient.backend.takes_s = 1.5  # over 10 times as long, and over half a second
    patient.ask_until(OPEN, 10 * CUT_WITHIN_S)
    assert "slow" in patient.guard.states()[-1].why
    assert set(patient.ask_for(2.0)) == {"unavailable"}
    patient.backend.takes_s = 0.08
    patient.ask_until(CLOSED, LONGEST_PAUSE_S)


def test_one_that_hangs_is_cut_while_its_thread_is_lost(patient: Patient) -> None:
    patient.ask_for(10.0)
    waiting = threading.Event()
    patient.guard.on_open(waiting.set)
    while patient.backend.entered.acquire(blocking=False):
        pass
    patient.backend.hang()
    lost = patient.send()
    assert patient.backend.entered.acquire(timeout=30)
    queued = patient.send()
    patient.clock.advance(SETTINGS.hang_s)
    for _ in range(4):
        patient.guard.tick()
        patient.clock.advance(SETTINGS.window_s)
    assert patient.guard.state is OPEN
    assert waiting.is_set(), "who holds requests that wait has been told"
    assert patient.guard.hung == 1
    # The thread is lost, and yet each request is answered, at once.
    assert set(patient.ask_for(300.0)) == {"unavailable"}
    assert not lost.done()
    patient.backend.come_back()
    assert lost.result(30)["y"].tolist() == [[2, 2]], "late, but right"
    with pytest.raises(Unavailable):
        queued.result(30)
    patient.ask_until(CLOSED, LONGEST_PAUSE_S)
    assert set(patient.ask_for(10.0)) == {"answered"}


def test_one_that_never_comes_back_is_replaced(patient: Patient) -> None:
    patient.backend.hang()
    lost = patient.send()
    assert patient.backend.entered.acquire(timeout=30)
    patient.clock.advance(SETTINGS.hang_s)
    for _ in range(4):
        patient.guard.tick()
        patient.clock.advance(SETTINGS.window_s)
    assert set(patient.ask_for(100.0)) == {"unavailable"}
    fresh = SickBackend(clock=patient.clock)
    patient.guarded = GuardedBackend(fresh, patient.guard)
    old, patient.thread = patient.thread, ThreadPoolExecutor(1)
    assert patient.guard.abandon() == 1
    patient.ask_until(CLOSED, LONGEST_PAUSE_S)
    assert set(patient.ask_for(10.0)) == {"answered"}
    patient.backend.come_back()
    assert lost.result(30)["y"].tolist() == [[2, 2]]
    assert patient.guard.state is CLOSED, "what was given up says nothing"
    old.shutdown()
