"""Whatever is loaded, unloaded, corrupted and published, in any order: the right version answers.

In the first test one thing comes after the other, and a model of a dozen lines says what serves. In
the second all come at once, and what must hold at any time, and at the end, is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine import Bench, engine_over, numbers, offer, snapshot

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.local import LocalEngine
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import InvalidModel, NotFound, SecondlookError, Unavailable

CLOCK = SystemClock()
VERSIONS = st.sets(st.integers(1, 4), min_size=1, max_size=3).map(sorted)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), VERSIONS),
        st.tuples(st.just("load"), VERSIONS),
        st.tuples(st.just("unload"), st.just([])),
        st.tuples(st.just("vanish"), st.just([])),
        st.tuples(st.just("corrupt"), VERSIONS),
        st.tuples(st.just("mend"), st.just([])),
    ),
    max_size=10,
)


@dataclass
class Expected:
    """What serves, as a few rules."""

    serving: set[int] = field(default_factory=set)
    corrupt: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    def offered(self, versions: list[int], *, again: bool) -> bool:
        """Returns whether all of them serve."""
        new = [version for version in versions if version not in self.serving]
        bad = {v for v in new if v in self.corrupt or (v in self.refused and not again)}
        self.refused |= bad
        self.refused -= set(versions) - bad
        if bad:
            # Nothing is taken away while something cannot be loaded.
            self.serving |= set(versions) - bad
        else:
            self.serving = set(versions)
            self.refused &= set(versions)
        return not bad

    def unloaded(self) -> None:
        self.serving, self.refused = set(), set()


async def asks(engine: LocalEngine, version: str = "") -> int:
    """Who answers; its tensors and its signature must agree."""
    got = await engine.infer(numbers(7), Ask(Deadline.after(30, CLOCK), "m", version))
    spoke = int(got.outputs["y"][0, 0] - 7) // 1000
    assert got.ran.version == str(spoke)
    return spoke


async def takes(engine: LocalEngine, bench: Bench, what: str, versions: list[int]) -> None:
    if what == "publish":
        await engine.update(snapshot(offer("m", *versions)))
    elif what == "vanish":
        await engine.update(snapshot())
    elif what == "load":
        bench.offers["m"] = offer("m", *versions)
        await engine.load("m")
    elif what == "unload":
        await engine.unload("m")
    elif what == "corrupt":
        bench.corrupt |= {str(version) for version in versions}
    else:
        bench.corrupt.clear()


async def one_after_the_other(steps: list[tuple[str, list[int]]]) -> None:
    bench, expected, known, published = Bench(), Expected(), False, False
    async with engine_over(bench) as engine:
        for what, versions in steps:
            failed: SecondlookError | None = None
            try:
                await takes(engine, bench, what, versions)
            except SecondlookError as error:
                failed = error
            if what == "publish":
                expected.offered(versions, again=False)
                known = published = True
            elif what == "load":
                fine = expected.offered(versions, again=True)
                assert isinstance(failed, InvalidModel) == (not fine)
                known = True
            elif what == "unload":
                assert isinstance(failed, NotFound) == (not known)
                expected.unloaded()
            elif what == "vanish" and published:
                expected.unloaded()
                known = published = False
            elif what == "corrupt":
                expected.corrupt |= set(versions)
            elif what == "mend":
                expected.corrupt.clear()
            ready = {int(e.version) for e in engine.index() if e.state is State.READY}
            assert ready == expected.serving
            for version in ready:
                assert await asks(engine, str(version)) == version
            if ready:
                assert await asks(engine) == max(ready)
            else:
                try:
                    await asks(engine)
                except NotFound:
                    continue
                raise AssertionError("something answered")
    assert all(backend.closed for backend in bench.opened)


async def all_at_once(steps: list[tuple[str, list[int]]]) -> int:
    bench, answers = Bench(), 0

    async def step(what: str, versions: list[int]) -> None:
        with contextlib.suppress(InvalidModel, NotFound, Unavailable):
            await takes(engine, bench, what, versions)

    async def ask_for_ever() -> None:
        nonlocal answers
        while True:
            # Only what is not served may be not found; what was accepted is answered.
            with contextlib.suppress(NotFound):
                await asks(engine)
                answers += 1
            await anyio.lowlevel.checkpoint()

    async with engine_over(bench, offer("m", 1)) as engine:
        asking = [asyncio.ensure_future(ask_for_ever()) for _ in range(3)]
        async with anyio.create_task_group() as tasks:
            for what, versions in steps:
                tasks.start_soon(step, what, versions)
                await anyio.lowlevel.checkpoint()
        for task in asking:
            assert not task.done(), task.exception()
            task.cancel()
        await asyncio.wait(asking)
    assert all(backend.closed for backend in bench.opened)
    return answers


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_one_after_the_other_the_rules_say_what_serves(steps: list[tuple[str, list[int]]]) -> None:
    anyio.run(one_after_the_other, steps)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_all_at_once_nobody_is_misled_and_nothing_stays_open(
    steps: list[tuple[str, list[int]]],
) -> None:
    anyio.run(all_at_once, steps)
