"""More models than memory: what is loaded when, and what has to go for it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.engine import MEMORY_BYTES, Bench, engine_over, numbers, offer

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.prefetch import Advice, LeastRecent, When
from secondlook.cloud.repository.snapshot import Offer
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import DeadlineExceeded, InvalidConfig, NotFound, Overloaded

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


class Advised(LeastRecent):
    """Advises what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.says: list[Advice] = []
        self.spare: str | None = None
        self.learned: dict[str, float] = {}

    def know(self, model: str, now_s: float, load_s: float) -> None:
        super().know(model, now_s, load_s)
        self.learned[model] = load_s

    def advice(self, resident: Collection[str], now_s: float) -> list[Advice]:
        return [one for one in self.says if one.model not in resident]

    def victim(
        self, candidates: Collection[str], now_s: float, instead_of: str | None = None
    ) -> str | None:
        if instead_of is None:
            return super().victim(candidates, now_s)
        return self.spare if self.spare in candidates else None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def stored(folder: Path, name: str, version: int) -> Offer:
    """A model whose file is as large as it is in memory."""
    made = offer(name, version)
    file = folder / f"{name}-{version}.onnx"
    file.write_bytes(bytes(MEMORY_BYTES))
    return replace(made, releases=tuple(replace(r, file=file) for r in made.releases))


def three(folder: Path, bench: Bench) -> list[Offer]:
    """Three models, of which two fit."""
    offers = [stored(folder, name, n) for n, name in enumerate(("a", "b", "c"), 1)]
    bench.offers = {made.name: made for made in offers}
    return offers


def limited(**options: Any) -> dict[str, Any]:
    return {"memory_bytes": 2 * MEMORY_BYTES, **options}


async def ask(engine: LocalEngine, model: str, seconds: float = 30) -> int:
    """The version that answered."""
    got = await engine.infer(numbers(7), Ask(Deadline.after(seconds, CLOCK), model))
    return int(got.outputs["y"][0, 0] - 7) // 1000


def held(engine: LocalEngine) -> set[str]:
    return {entry.name for entry in engine.index() if entry.state is State.READY}


async def test_at_the_start_memory_is_filled_and_no_more(tmp_path: Path, bench: Bench) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        assert held(engine) == {"a", "b"}
        (resting,) = (entry for entry in engine.index() if entry.name == "c")
        assert (resting.version, resting.state) == ("3", State.UNAVAILABLE)
        assert "loaded when it is asked for" in resting.reason


async def test_what_is_asked_for_is_loaded_in_place_of_what_was_asked_for_longest_ago(
    tmp_path: Path, bench: Bench
) -> None:
    registry = CollectorRegistry()
    options = limited(registry=registry)
    async with engine_over(bench, *three(tmp_path, bench), **options) as engine:
        assert await ask(engine, "b") == 2
        assert await ask(engine, "a") == 1
        assert await ask(engine, "c") == 3
        assert held(engine) == {"a", "c"}
        assert bench.of(2).closed
        assert await ask(engine, "b") == 2
        assert held(engine) == {"b", "c"}

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"secondlook_cloud_resident_{name}", labels)

        assert value("evictions_total") == 2
        assert value("loads_total", when="demand") == 2
        assert (value("hits_total"), value("cold_total")) == (2, 2)
        assert (value("bytes"), value("models")) == (2 * MEMORY_BYTES, 2)


async def test_many_who_ask_for_one_wait_for_one_load(tmp_path: Path, bench: Bench) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        opened = len(bench.opened)
        assert await asyncio.gather(*(ask(engine, "c") for _ in range(10))) == [3] * 10
        assert len(bench.opened) == opened + 1


async def test_who_cannot_wait_is_told_in_time_and_the_load_goes_on(
    tmp_path: Path, bench: Bench
) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        bench.hold()
        with pytest.raises(DeadlineExceeded, match="not loaded in time"):
            await ask(engine, "c", seconds=0.02)
        bench.release()
        assert await ask(engine, "c") == 3
        assert sum(backend.version == 3 for backend in bench.opened) == 1


async def test_no_more_wait_for_a_load_than_for_a_device(tmp_path: Path, bench: Bench) -> None:
    options = limited(policy=Policy(max_queue=2))
    async with engine_over(bench, *three(tmp_path, bench), **options) as engine:
        bench.hold()
        waiting = [asyncio.ensure_future(ask(engine, "c")) for _ in range(2)]
        await anyio.lowlevel.checkpoint()
        with pytest.raises(Overloaded, match="wait for 'c'"):
            await ask(engine, "c")
        bench.release()
        assert [await task for task in waiting] == [3, 3]


async def test_what_is_evicted_finishes_what_it_accepted(tmp_path: Path, bench: Bench) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        for version in (1, 2):
            bench.of(version).hold()
        accepted = [asyncio.ensure_future(ask(engine, name)) for name in ("a", "b")]
        for version in (1, 2):
            await anyio.to_thread.run_sync(bench.of(version).wait_entered)
        cold = asyncio.ensure_future(ask(engine, "c"))
        await anyio.lowlevel.checkpoint()
        for version in (1, 2):
            bench.of(version).release()
        assert [await task for task in accepted] == [1, 2]
        assert await cold == 3


async def test_a_model_that_never_fits_says_so(tmp_path: Path, bench: Bench) -> None:
    options = limited(memory_bytes=MEMORY_BYTES // 2)
    async with engine_over(bench, *three(tmp_path, bench), **options) as engine:
        assert held(engine) == set()
        with pytest.raises(InvalidConfig, match=r"repository\.memory_mb"):
            await ask(engine, "a")


async def test_a_model_that_cannot_be_loaded_is_not_tried_at_every_request(
    tmp_path: Path, bench: Bench
) -> None:
    bench.corrupt.add("3")
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        opened = len(bench.opened)
        for _ in range(3):
            with pytest.raises(Exception, match="no model"):
                await ask(engine, "c")
        assert len(bench.opened) == opened
        bench.corrupt.clear()
        await engine.load("c")
        assert await ask(engine, "c") == 3


async def test_a_model_that_nobody_knows_is_not_found(tmp_path: Path, bench: Bench) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        with pytest.raises(NotFound, match="'d'"):
            await ask(engine, "d")
        await engine.unload("a")
        with pytest.raises(NotFound, match="not loaded"):
            await ask(engine, "a")


async def test_it_can_be_asked_about_before_it_is_there(tmp_path: Path, bench: Bench) -> None:
    async with engine_over(bench, *three(tmp_path, bench), **limited()) as engine:
        wanted = Ask(Deadline.after(30, CLOCK), "c")
        assert engine.route(wanted).version == "3"
        with pytest.raises(NotFound):
            engine.signature("c")
        await engine.prepare(wanted)
        assert engine.signature("c").max_batch == 4


@pytest.mark.parametrize(
    ("when", "spare", "expected"),
    [
        (When.NOW, "a", {"b", "c"}),
        (When.IDLE, "a", {"b", "c"}),
        (When.NOW, None, {"a", "b"}),
    ],
)
async def test_ahead_of_time_it_is_loaded_only_in_place_of_what_is_needed_less(
    tmp_path: Path, bench: Bench, when: When, spare: str | None, expected: set[str]
) -> None:
    advised = Advised()
    options = limited(residency=advised)
    async with engine_over(bench, *three(tmp_path, bench), **options) as engine:
        advised.says, advised.spare = [Advice("c", 0.9, when)], spare
        assert engine._residents is not None
        await engine._residents.look()
        assert held(engine) == expected
        assert advised.learned["a"] != 1.0


async def test_while_something_runs_nothing_is_loaded_that_can_wait(
    tmp_path: Path, bench: Bench
) -> None:
    advised = Advised()
    async with engine_over(bench, *three(tmp_path, bench), **limited(residency=advised)) as engine:
        advised.says, advised.spare = [Advice("c", 0.6, When.IDLE)], "a"
        bench.of(2).hold()
        running = asyncio.ensure_future(ask(engine, "b"))
        await anyio.to_thread.run_sync(bench.of(2).wait_entered)
        assert engine._residents is not None
        await engine._residents.look()
        assert held(engine) == {"a", "b"}
        bench.of(2).release()
        await running
        await engine._residents.look()
        assert held(engine) == {"b", "c"}
