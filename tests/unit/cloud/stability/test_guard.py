from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.backends_sick import SickBackend

from secondlook.cloud.stability import (
    BreakerMetrics,
    Breakers,
    BreakerSettings,
    BreakerState,
    Guard,
    GuardedBackend,
)
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidInput, ModelFailure, NotFound, Unavailable

SETTINGS = BreakerSettings(window_s=1.0, windows=1, min_calls=2, jitter=0.0, open_s=5.0, hang_s=10)
IMAGE = np.zeros((9, 9, 3), np.uint8)


class Guarded:
    """A guard, its clock and its registry."""

    def __init__(self, lanes: int = 1, settings: BreakerSettings = SETTINGS) -> None:
        self.clock = ManualClock()
        self.registry = CollectorRegistry()
        self.breakers = Breakers(
            settings, BreakerMetrics(self.registry), self.clock, random.Random(1)
        )
        self.guard: Guard = self.breakers.guard("m:1", lanes)

    def value(self, name: str, **labels: str) -> float | None:
        if name == "calls_total" and self.breakers.guards():
            self.guard.tick()  # good calls are counted with the next look
        return self.registry.get_sample_value(
            f"secondlook_cloud_breaker_{name}", {"backend": "m:1", **labels}
        )

    def cancelled_after(self, seconds: float) -> None:
        with self.guard.call():
            self.clock.advance(seconds)
            raise asyncio.CancelledError

    def fail(self, error: BaseException, times: int = 2) -> None:
        for _ in range(times):
            with pytest.raises(type(error)), self.guard.call():
                raise error
        self.clock.advance(1.0)
        self.guard.tick()


@pytest.mark.parametrize(
    ("error", "cut"),
    [
        (ModelFailure("nan"), True),
        (Unavailable("gone"), True),
        (RuntimeError("foreign"), True),
        (InvalidInput("bad"), False),
        (NotFound("none"), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_what_is_held_against_a_backend(error: BaseException, cut: bool) -> None:
    one = Guarded()
    one.fail(error)
    assert (one.guard.state is BreakerState.OPEN) is cut


def test_a_cancelled_call_that_took_too_long_is_held_against_it() -> None:
    one = Guarded(settings=SETTINGS.model_copy(update={"slow_s": 3.0}))
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            one.cancelled_after(3.0)
    one.clock.advance(1.0)
    one.guard.tick()
    assert one.guard.state is BreakerState.OPEN
    assert one.value("calls_total", outcome="slow") == 2


def test_while_open_it_refuses_at_once_and_says_when_to_come_back() -> None:
    one = Guarded()
    one.guard.check()
    one.fail(ModelFailure("nan"))
    one.clock.advance(2.0)
    with pytest.raises(Unavailable, match=r"m:1 is cut off .*; ask again in 3\.0 s") as refused:
        one.guard.check()
    assert refused.value.retry_after_s == 3.0
    with pytest.raises(Unavailable), one.guard.call():
        pytest.fail("it must not run")
    assert one.value("refused_total") == 2
    assert one.value("calls_total", outcome="failed") == 2, "a refusal is no failure"


def test_state_is_counted_and_told() -> None:
    one = Guarded()
    told: list[str] = []
    end = one.guard.on_open(lambda: told.append("open"))
    assert one.value("state") == 0
    one.fail(ModelFailure("nan"))
    assert (one.value("state"), one.value("opened_total"), told) == (2, 1, ["open"])
    one.clock.advance(5.0)
    one.guard.tick()
    assert one.value("state") == 1
    for _ in range(3):
        with one.guard.call():
            pass
    assert one.value("state") == 0
    assert [change.after.value for change in one.guard.states()] == ["open", "half_open", "closed"]
    end()
    end()
    one.fail(ModelFailure("nan"))
    assert (one.value("opened_total"), told) == (2, ["open"])


def test_a_backend_that_is_gone_leaves_no_metrics() -> None:
    one = Guarded()
    one.fail(ModelFailure("nan"))
    assert one.breakers.guard("m:1") is one.guard
    one.breakers.forget("m:1")
    one.breakers.forget("m:1")
    assert one.value("state") is None
    assert one.value("calls_total", outcome="failed") is None
    assert one.breakers.guards() == ()


def test_a_guarded_backend_runs_what_it_guards() -> None:
    one = Guarded()
    backend = SickBackend()
    guarded = GuardedBackend(backend, one.guard)
    assert guarded.signature == backend.signature
    assert (guarded.device, guarded.memory_bytes) == (backend.device, backend.memory_bytes)
    guarded.warm_up()
    x = np.zeros((3, 2), np.float32)
    assert guarded.run({"x": x})["y"].shape == (3, 2)
    assert guarded.detector is not None
    assert guarded.detector.info is backend.detector.info
    (found,) = guarded.detector.detect([IMAGE])
    assert len(found) == 1
    assert one.value("calls_total", outcome="good") == 2, "warming up is not counted"
    one.clock.advance(1.0)
    backend.broken = True
    for _ in range(2):
        with pytest.raises(ModelFailure):
            guarded.run({"x": x})
    one.clock.advance(1.0)
    with pytest.raises(Unavailable):
        guarded.run({"x": x})
    with pytest.raises(Unavailable):
        guarded.detector.detect([IMAGE])
    guarded.close()
    assert backend.closed


def test_a_backend_that_is_no_detector_has_none() -> None:
    assert GuardedBackend(SickBackend(detects=False), Guarded().guard).detector is None


def now_and_then(number: int) -> None:
    if number % 7 == 0:
        raise ModelFailure("now and then")


def test_threads_share_a_guard() -> None:
    one = Guarded(lanes=0)

    def work() -> None:
        for number in range(500):
            with suppress(ModelFailure), one.guard.call():
                now_and_then(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [one.value("calls_total", outcome=outcome) for outcome in ("good", "failed")]
    assert counts == [4 * (500 - 72), 4 * 72]
    assert one.guard.hung == 0
