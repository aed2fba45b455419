"""A sick backend in the real engine: its callers are answered, and it recovers by itself."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.backends_sick import SickBackend
from support.waiting import eventually

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.stability import (
    BreakerMetrics,
    Breakers,
    BreakerSettings,
    BreakerState,
    GuardedBackend,
)
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import ModelFailure, Unavailable

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
QUICK = BreakerSettings(
    window_s=0.02, windows=3, min_calls=2, hang_s=0.2, open_s=0.02, open_max_s=0.1, probes=2
)
OPEN, CLOSED = BreakerState.OPEN, BreakerState.CLOSED
ONE = {"x": np.ones((1, 2), np.float32)}


class Ward:
    """An engine with one model ``m``, and all the backends that it has opened for it."""

    def __init__(self, engine: LocalEngine, breakers: Breakers, opened: list[SickBackend]) -> None:
        self.engine = engine
        self.guard = breakers.guard("m:1:fp32")
        self.opened = opened

    async def ask(self, after_s: float = 60.0) -> str:
        """What one request hears."""
        try:
            found = await self.engine.infer(ONE, Ask(Deadline.after(after_s, CLOCK), "m"))
        except Unavailable:
            return "unavailable"
        except ModelFailure:
            return "failed"
        assert found.outputs["y"].tolist() == [[2, 2]]
        return "answered"

    async def ask_until(self, state: BreakerState) -> set[str]:
        """Ask on until it is in that state; what requests heard."""
        heard = set()
        with anyio.fail_after(30):
            while self.guard.state is not state:
                heard.add(await self.ask())
                await anyio.lowlevel.checkpoint()
        return heard


@asynccontextmanager
async def ward() -> AsyncIterator[Ward]:
    registry = CollectorRegistry()
    breakers = Breakers(QUICK, BreakerMetrics(registry), CLOCK, random.Random(3))
    opened: list[SickBackend] = []

    def open_release(release: Release) -> Opened:
        opened.append(SickBackend(detects=False))
        guard = breakers.guard("m:1:fp32")
        return Opened(release, [GuardedBackend(opened[-1], guard)], guard)

    release = Release(ModelConfig("m", "onnxruntime"), "1", Path("m.onnx"))
    engine = LocalEngine(
        [open_release(release)], registry=registry, open_release=open_release, clock=CLOCK
    )
    try:
        async with engine.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, breakers)
            try:
                yield Ward(engine, breakers, opened)
            finally:
                # A drain waits for what hangs.
                for backend in opened:
                    backend.come_back()
                tasks.cancel_scope.cancel()
    finally:
        for backend in opened:
            backend.come_back()


async def _tick(breakers: Breakers) -> None:
    while True:
        breakers.tick()
        await anyio.sleep(0.01)


async def test_a_backend_that_fails_is_cut_off_and_recovers() -> None:
    async with ward() as one:
        assert await one.ask() == "answered"
        one.opened[0].broken = True
        assert "failed" in await one.ask_until(OPEN)
        one.opened[0].broken = False
        heard = await one.ask_until(CLOSED)
        assert heard <= {"unavailable", "answered"}
        assert await one.ask() == "answered"
        assert len(one.opened) == 1


async def test_a_backend_that_hangs_fails_those_who_wait_and_is_replaced() -> None:
    async with ward() as one:
        assert await one.ask() == "answered"
        one.opened[0].hang()
        heard: list[str] = []

        async def wait() -> None:
            heard.append(await one.ask())

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
            await eventually(lambda: len(one.opened) == 2)
            # The one in the network is lost until it returns; those behind it were told.
            await eventually(lambda: len(heard) >= 4)
            assert set(heard) == {"unavailable"}
            heard_since = await one.ask_until(CLOSED)
            assert heard_since <= {"unavailable", "answered"}
            assert await one.ask() == "answered", "by the fresh copy"
            one.opened[0].come_back()
        assert heard[4] in ("answered", "unavailable")
        assert await one.ask() == "answered"
        assert one.guard.states()[0].after is OPEN


async def test_while_it_is_cut_off_requests_cost_the_network_nothing() -> None:
    async with ward() as one:
        one.opened[0].broken = True
        await one.ask_until(OPEN)
        calls = one.opened[0].entered._value
        rounds = len(one.guard.states())
        heard = [await one.ask() for _ in range(300)]
        probed = one.opened[0].entered._value - calls
        rounds = len(one.guard.states()) - rounds
        assert probed <= QUICK.probes * (rounds + 1)
        assert heard.count("unavailable") == 300 - heard.count("failed") > 0
