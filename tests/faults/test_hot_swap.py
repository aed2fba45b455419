"""Versions are swapped as fast as they go while requests come: none fails, none is misled."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from support.engine import Bench, asked_picture, engine_over, numbers, offer, snapshot

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.local import LocalEngine
from secondlook.shared.clock import Deadline, SystemClock

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
SWAPS = 20
CORRUPT = 11
CALLERS = 8


@dataclass
class Traffic:
    """What callers met."""

    answers: int = 0
    seen: set[int] = field(default_factory=set)
    misled: list[str] = field(default_factory=list)

    async def ask_for_ever(self, engine: LocalEngine, caller: int) -> None:
        """One question after the other; a failure ends the test."""
        value = 0
        while True:
            value = (value + 1) % 100
            ask = Ask(Deadline.after(30, CLOCK), "m", camera=f"camera-{caller}")
            # Between this line and the queue the loop does nothing else.
            expected = engine.route(ask).version
            if caller % 2:
                got = await engine.infer(numbers(value, rows=1 + value % 3), ask)
                spoke, ran = {int(v) // 1000 for v in got.outputs["y"].flat}, got.ran
            else:
                found = await engine.detect(asked_picture(value), ask)
                x1, _, x2, _ = found.detections.boxes[0]
                spoke, ran = {int(x2 - x1)}, found.ran
            if not (spoke == {int(ran.version)} == {int(expected)}):
                self.misled.append(f"{expected} was asked, {ran.version} signed, {spoke} spoke")
            self.answers += 1
            self.seen.add(int(ran.version))

    async def meets(self, version: int) -> None:
        """Until somebody was answered by it."""
        with anyio.fail_after(30):
            while version not in self.seen:
                await anyio.lowlevel.checkpoint()


async def test_twenty_swaps_under_steady_traffic_fail_and_mislead_nobody() -> None:
    bench, traffic = Bench(), Traffic()
    bench.corrupt.add(str(CORRUPT))
    async with engine_over(bench, offer("m", 1)) as engine, anyio.create_task_group() as tasks:
        for caller in range(CALLERS):
            tasks.start_soon(traffic.ask_for_ever, engine, caller)
        for version in range(2, SWAPS + 3):
            await engine.update(snapshot(offer("m", version)))
            if version == CORRUPT:
                before = traffic.answers
                with anyio.fail_after(30):
                    while traffic.answers < before + CALLERS:
                        await anyio.lowlevel.checkpoint()
                assert engine.detector("m").version == str(CORRUPT - 1)
            else:
                await traffic.meets(version)
        tasks.cancel_scope.cancel()
    assert traffic.misled == []
    assert traffic.seen == set(range(1, SWAPS + 3)) - {CORRUPT}
    assert all(backend.closed for backend in bench.opened)
    # Each ran what it had accepted, and nothing after that.
    assert len(bench.opened) == SWAPS + 1


async def test_a_canary_grows_under_traffic_and_no_camera_goes_back() -> None:
    bench, traffic = Bench(), Traffic()
    async with (
        engine_over(bench, offer("m", 1, 2, shares={"1": 1.0})) as engine,
        anyio.create_task_group() as tasks,
    ):
        for caller in range(CALLERS):
            tasks.start_soon(traffic.ask_for_ever, engine, caller)
        on_new: set[int] = set()
        for share in (0.0, 0.2, 0.5, 0.8, 1.0):
            shares = {"1": 1.0 - share, "2": share}
            await engine.update(snapshot(offer("m", 1, 2, shares=shares)))
            asks = [Ask(Deadline.after(30, CLOCK), "m", camera=f"camera-{n}") for n in range(100)]
            now = {n for n, ask in enumerate(asks) if engine.route(ask).version == "2"}
            assert on_new <= now
            on_new = now
        await traffic.meets(2)
        tasks.cancel_scope.cancel()
    assert on_new == set(range(100))
    assert traffic.misled == []
    assert len(bench.opened) == 2


async def test_versions_that_are_gone_hold_no_memory() -> None:
    bench, traffic = Bench(), Traffic()
    async with engine_over(bench, offer("m", 1)) as engine, anyio.create_task_group() as tasks:
        tasks.start_soon(traffic.ask_for_ever, engine, 1)
        gone = []
        for version in range(2, 8):
            gone.append(weakref.ref(bench.opened.pop()))
            await engine.update(snapshot(offer("m", version)))
            await traffic.meets(version)
        with anyio.fail_after(10):
            while any(ref() is not None for ref in gone):
                gc.collect()
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_unloaded_while_busy_what_was_accepted_is_answered() -> None:
    bench = Bench([offer("m", 1)])
    async with engine_over(bench, offer("m", 1)) as engine:
        device = bench.opened[0]
        device.hold()
        ask = Ask(Deadline.after(30, CLOCK), "m")
        accepted = [asyncio.ensure_future(engine.infer(numbers(n), ask)) for n in range(12)]
        await anyio.to_thread.run_sync(device.wait_entered)
        await anyio.lowlevel.checkpoint()
        await engine.unload("m")
        await engine.load("m")
        fresh = await engine.infer(numbers(50), ask)
        assert fresh.outputs["y"][0, 0] == 1050
        assert not any(task.done() for task in accepted)
        device.release()
        got = [(await task).outputs["y"][0, 0] for task in accepted]
        assert got == [1000 + n for n in range(12)]
