"""Callers of the same questions at the same time, who give up, fail and are late as they like."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.abc
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from support.engines_fake import FakeEngine, blue

from secondlook.cloud.cache import CachedEngine, CacheMetrics, VerdictCache
from secondlook.cloud.engine.asking import Ask, Priority
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import ModelFailure, Overloaded, SecondlookError

CLOCK = SystemClock()
LEVELS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), LEVELS, st.sampled_from(Priority), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("answer"), LEVELS),
        st.tuples(st.just("fail"), LEVELS),
        st.tuples(st.just("refuse"), LEVELS),
        st.tuples(st.just("forget")),
    ),
    max_size=40,
)


class Manual(FakeEngine):
    """Each question waits until the test answers it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[int, anyio.Event, list[Exception]]] = []

    async def detect(self, image: Any, ask: Ask, *, min_score: float = 0.0) -> Any:
        entry = (int(image[0, 0, 0]), anyio.Event(), list[Exception]())
        self.waiting.append(entry)
        try:
            await entry[1].wait()
        finally:
            self.waiting.remove(entry)
        if entry[2]:
            raise entry[2][0]
        return await super().detect(image, ask, min_score=min_score)

    def settle(self, level: int, error: Exception | None = None) -> bool:
        """Answer, or fail, the oldest question of that level."""
        for asked, event, errors in self.waiting:
            if asked == level and not event.is_set():
                errors.extend([error] if error else [])
                event.set()
                return True
        return False


class Caller:
    """One who asks, and what became of it."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.scope = anyio.CancelScope()
        self.width: float | None = None
        self.error: SecondlookError | None = None
        self.over = False

    async def run(self, engine: CachedEngine, ask: Ask) -> None:
        with self.scope:
            try:
                found = await engine.detect(blue(self.level), ask)
                self.width = float(found.detections.boxes[0, 2])
            except SecondlookError as error:
                self.error = error
        self.over = True


@settings(max_examples=80)
@given(steps=STEPS)
def test_nobody_is_hurt_by_another(steps: list[tuple[Any, ...]]) -> None:
    anyio.run(_play, steps)


async def _play(steps: list[tuple[Any, ...]]) -> None:
    fake = Manual()
    cache = VerdictCache(1_000_000, CacheMetrics(CollectorRegistry()))
    engine = CachedEngine(fake, cache, CLOCK)
    callers: list[Caller] = []
    failed: set[int] = set()
    refused = 0
    async with anyio.create_task_group() as tasks:
        for kind, *rest in steps:
            if kind == "ask":
                level, priority, hours = rest
                callers.append(Caller(level))
                ask = Ask(Deadline.after(3600.0 * hours, CLOCK), priority=priority)
                tasks.start_soon(callers[-1].run, engine, ask)
            elif kind == "cancel" and callers:
                callers[rest[0] % len(callers)].scope.cancel()
            elif kind == "answer":
                fake.settle(rest[0])
            elif kind == "fail" and fake.settle(rest[0], ModelFailure("nan")):
                failed.add(rest[0])
            elif kind == "refuse" and fake.settle(rest[0], Overloaded("full")):
                refused += 1
            elif kind == "forget":
                cache.forget("m")
            await anyio.wait_all_tasks_blocked()
            waiting = {caller.level for caller in callers if not caller.over}
            assert waiting == {level for level, *_ in fake.waiting}, "someone asks for all who wait"
        while fake.waiting:
            fake.settle(fake.waiting[0][0])
            await anyio.wait_all_tasks_blocked()
        assert all(caller.over for caller in callers), "nobody waits for ever"
    assert not cache.flights
    for caller in callers:
        if caller.width is not None:
            assert caller.width == caller.level
        elif isinstance(caller.error, ModelFailure):
            assert caller.level in failed
        else:
            assert isinstance(caller.error, Overloaded) or caller.scope.cancel_called
    told = sum(isinstance(caller.error, Overloaded) for caller in callers)
    assert told <= refused, "a refusal is one caller's alone"
    engine.close()
