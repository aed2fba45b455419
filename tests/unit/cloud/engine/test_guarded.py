"""A version whose network is cut off by its breaker, and comes back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, engine_over, numbers, offer

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.repository.config import Release
from secondlook.cloud.stability import BreakerMetrics, Breakers, BreakerSettings, GuardedBackend
from secondlook.shared.clock import Deadline, ManualClock, SystemClock
from secondlook.shared.errors import ModelFailure, Unavailable

pytestmark = pytest.mark.anyio

SETTINGS = BreakerSettings(window_s=1.0, windows=2, min_calls=1, open_s=5.0, hang_s=3.0, probes=1)


class GuardedBench(Bench):
    """Each network stands behind a breaker, whose time a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.time = ManualClock(monotonic_s=0.0)
        metrics = BreakerMetrics(CollectorRegistry())
        self.breakers = Breakers(SETTINGS, metrics, self.time, random.Random(7))

    def open(self, release: Release) -> Opened:
        opened = super().open(release)
        guard = self.breakers.guard(f"{release.config.name}:{release.version}")
        backends = [GuardedBackend(backend, guard) for backend in opened.backends]
        return replace(opened, backends=backends, guard=guard)

    def pass_time(self, seconds: float) -> None:
        """In steps, as the service's own look every second does."""
        for _ in range(round(seconds * 2)):
            self.time.advance(0.5)
            self.breakers.tick()


async def ask(engine: LocalEngine) -> float:
    got = await engine.infer(numbers(7), Ask(Deadline.after(30, SystemClock()), "m"))
    return float(got.outputs["y"][0, 0])


async def refusal(engine: LocalEngine) -> Unavailable | None:
    try:
        assert await ask(engine) == 1007
    except Unavailable as error:
        return error
    except ModelFailure:
        pass
    return None


async def until_refused(engine: LocalEngine) -> Unavailable:
    refused: Unavailable | None = None
    with anyio.fail_after(10):
        while refused is None:
            refused = await refusal(engine)
    return refused


async def test_what_fails_is_cut_off_at_once_and_comes_back_by_itself() -> None:
    bench = GuardedBench()
    async with engine_over(bench, offer("m", 1)) as engine:
        (device,) = bench.opened
        device.broken = True
        for _ in range(4):
            with pytest.raises((ModelFailure, Unavailable)):
                await ask(engine)
            bench.pass_time(1)
        refused = await until_refused(engine)
        assert refused.retry_after_s is not None
        ran = len(device.calls)
        await until_refused(engine)
        assert len(device.calls) == ran
        # Whoever waited when it was cut off is told in the next turn of the loop.
        await anyio.lowlevel.checkpoint()
        device.broken = False
        bench.pass_time(10)
        assert await ask(engine) == 1007
    assert len(bench.opened) == 1


async def test_what_hangs_gets_a_fresh_copy_and_nobody_waits_for_it() -> None:
    bench = GuardedBench()
    async with engine_over(bench, offer("m", 1)) as engine:
        (hung,) = bench.opened
        assert await ask(engine) == 1007
        hung.hold()
        running, waiting = (asyncio.ensure_future(ask(engine)) for _ in range(2))
        await anyio.to_thread.run_sync(hung.wait_entered)
        await anyio.to_thread.run_sync(hung.wait_entered)
        await anyio.lowlevel.checkpoint()
        bench.pass_time(8)
        with pytest.raises(Unavailable, match="cut off"):
            await waiting
        with anyio.fail_after(10):
            # The one that hangs is on its way out, and a fresh one stands in its place.
            while engine._lineups._lines["m"].in_flight:
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(10):
            while await refusal(engine) is not None:
                bench.pass_time(1)
                await anyio.lowlevel.checkpoint()
        assert bench.opened[1].calls
        # The call that hung returns after all: its caller still hears.
        assert not running.done()
        hung.release()
        assert await running == 1007
        with anyio.fail_after(60):
            while not hung.closed:
                await anyio.lowlevel.checkpoint()
