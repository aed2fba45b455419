"""Loading, switching, unloading: what is served when."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, engine_over, numbers, offer, snapshot

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.owned import owned
from secondlook.cloud.repository.config import InstanceGroup
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import (
    InvalidConfig,
    InvalidModel,
    ModelFailure,
    NotFound,
    PermissionDenied,
    Unavailable,
)

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def engine(bench: Bench) -> AsyncIterator[LocalEngine]:
    async with engine_over(bench, offer("m", 1)) as made:
        yield made


async def answered(
    engine: LocalEngine, version: str = "", camera: str = "", name: str = "m"
) -> int:
    """The version that answered; its tensors and its name must agree."""
    ask = Ask(Deadline.after(30, CLOCK), name, version, camera=camera)
    got = await engine.infer(numbers(7), ask)
    spoke = int(got.outputs["y"][0, 0] - 7) // 1000
    assert got.ran.version == str(spoke)
    return spoke


def states(engine: LocalEngine) -> dict[str, str]:
    """Version to state, of all models."""
    return {entry.version: entry.state.value for entry in engine.index()}


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_a_new_version_takes_over_and_the_old_one_is_closed(
    engine: LocalEngine, bench: Bench
) -> None:
    assert await answered(engine) == 1
    await engine.update(snapshot(offer("m", 2)))
    assert await answered(engine) == 2
    await until(lambda: states(engine) == {"2": "READY"})
    assert bench.of(1).closed
    with pytest.raises(NotFound, match="no version '1'"):
        await answered(engine, "1")


async def test_while_the_new_one_loads_the_old_one_serves(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.update, snapshot(offer("m", 2)))
        await anyio.to_thread.run_sync(bench.wait_opening)
        assert await answered(engine) == 1
        assert states(engine) == {"1": "READY", "2": "LOADING"}
        bench.release()
    assert await answered(engine) == 2


async def test_what_the_old_version_accepted_it_answers_after_the_switch(
    engine: LocalEngine, bench: Bench
) -> None:
    old = bench.of(1)
    old.hold()
    running, queued = (asyncio.ensure_future(answered(engine)) for _ in range(2))
    await anyio.to_thread.run_sync(old.wait_entered)
    await engine.update(snapshot(offer("m", 2)))
    assert await answered(engine) == 2
    assert states(engine) == {"1": "UNLOADING", "2": "READY"}
    assert not old.closed
    old.release()
    assert [await running, await queued] == [1, 1]
    await until(lambda: old.closed)


async def test_a_corrupt_version_is_refused_and_the_old_one_serves_on(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.corrupt.add("2")
    await engine.update(snapshot(offer("m", 2)))
    assert await answered(engine) == 1
    refused = next(entry for entry in engine.index() if entry.version == "2")
    assert refused.state is State.UNAVAILABLE
    assert "m/2: no model" in refused.reason
    assert bench.forgotten == ["m"]
    # It is not tried again for ever, but when asked for, or when it has changed.
    await engine.update(snapshot(offer("m", 2)))
    assert len(bench.opened) == 1
    bench.corrupt.clear()
    await engine.update(snapshot(offer("m", 2, salt="mended")))
    assert await answered(engine) == 2
    await until(lambda: states(engine) == {"2": "READY"})


async def test_one_corrupt_version_of_several_hides_no_other(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.corrupt.add("2")
    await engine.update(snapshot(offer("m", 2, 3)))
    assert await answered(engine) == 3
    # Nothing is taken away while something could not be loaded.
    assert states(engine) == {"1": "READY", "2": "UNAVAILABLE", "3": "READY"}


async def test_a_failed_reload_of_the_same_version_is_told_beside_what_serves(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.corrupt.add("1new")
    await engine.update(snapshot(offer("m", 1, salt="new")))
    assert await answered(engine) == 1
    (entry,) = engine.index()
    assert entry.state is State.READY
    assert "refused" in entry.reason


async def test_new_content_under_the_same_version_is_swapped_too(
    engine: LocalEngine, bench: Bench
) -> None:
    old = bench.of(1)
    await engine.update(snapshot(offer("m", 1, salt="new")))
    assert await answered(engine) == 1
    await until(lambda: old.closed)
    assert not bench.of(1).closed


async def test_shares_change_without_any_load(engine: LocalEngine, bench: Bench) -> None:
    await engine.update(snapshot(offer("m", 1, 2, shares={"1": 1.0})))
    cameras = [f"cam{number}" for number in range(40)]
    assert {await answered(engine, camera=camera) for camera in cameras} == {1}
    assert await answered(engine, "2") == 2
    await engine.update(snapshot(offer("m", 1, 2, shares={"1": 0.5, "2": 0.5})))
    both = [await answered(engine, camera=camera) for camera in cameras]
    assert set(both) == {1, 2}
    assert both == [await answered(engine, camera=camera) for camera in cameras]
    assert [backend.version for backend in bench.opened] == [1, 2]
    assert engine.config("m", "1").shares == {"1": 0.5, "2": 0.5}


async def test_a_slow_load_holds_up_no_other_model(engine: LocalEngine, bench: Bench) -> None:
    await engine.update(snapshot(offer("m", 1, 2, shares={"1": 1.0})))
    assert await answered(engine) == 1
    for _ in range(2):
        bench.wait_opening()
    bench.hold()
    before, after = offer("m", 1, 2, shares={"1": 1.0}), offer("m", 1, 2, shares={"2": 1.0})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.update, snapshot(before, offer("slow", 5)))
        await anyio.to_thread.run_sync(bench.wait_opening)
        tasks.start_soon(engine.update, snapshot(after, offer("slow", 6)))
        with anyio.fail_after(10):
            while await answered(engine) != 2:
                await anyio.lowlevel.checkpoint()
        bench.release()
    # What was being loaded came first; what is offered since took its place.
    assert await answered(engine, name="slow") == 6
    assert [backend.version for backend in bench.opened] == [1, 2, 5, 6]


async def test_a_model_that_vanishes_is_served_no_more(engine: LocalEngine, bench: Bench) -> None:
    await engine.update(snapshot(offer("other", 5)))
    with pytest.raises(NotFound, match="no model is named 'm'; served are other"):
        await answered(engine)
    assert await answered(engine, name="other") == 5
    await until(lambda: bench.of(1).closed)


async def test_load_by_name_reads_the_repository_then(engine: LocalEngine, bench: Bench) -> None:
    bench.offers["m"] = offer("m", 2)
    await engine.load("m", '{"max_batch_size": 4}')
    assert bench.reads == [("m", '{"max_batch_size": 4}')]
    assert await answered(engine) == 2
    with pytest.raises(NotFound, match="nobody"):
        await engine.load("nobody")
    assert {entry.name for entry in engine.index()} == {"m"}


async def test_a_load_that_fails_says_why_and_changes_nothing(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.offers["m"] = offer("m", 2)
    bench.corrupt.add("2")
    with pytest.raises(InvalidModel, match="m/2"):
        await engine.load("m")
    assert await answered(engine) == 1
    bench.corrupt.clear()
    await engine.load("m")
    assert await answered(engine) == 2


async def test_a_broken_configuration_says_why_and_changes_nothing(
    engine: LocalEngine, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str, config_json: str | None = None) -> object:
        raise InvalidConfig("config.pbtxt:3: nonsense")

    monkeypatch.setattr(bench, "read", read)
    with pytest.raises(InvalidConfig, match=":3"):
        await engine.load("m")
    assert await answered(engine) == 1


async def test_a_lying_model_is_refused_whatever_its_library_raises(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(release: object) -> object:
        raise ZeroDivisionError("inside the library")

    monkeypatch.setattr(bench, "open", crash)
    async with engine_over(bench) as other:
        bench.offers["m"] = offer("m", 2)
        with pytest.raises(ModelFailure, match="ZeroDivisionError"):
            await other.load("m")
        assert states(other) == {"2": "UNAVAILABLE"}


async def test_unload_finishes_what_was_accepted(engine: LocalEngine, bench: Bench) -> None:
    backend = bench.of(1)
    backend.hold()
    running = asyncio.ensure_future(answered(engine))
    await anyio.to_thread.run_sync(backend.wait_entered)
    await engine.unload("m")
    with pytest.raises(NotFound, match="not loaded"):
        await answered(engine)
    assert states(engine) == {"1": "UNLOADING"}
    backend.release()
    assert await running == 1
    await until(lambda: states(engine) == {"1": "UNAVAILABLE"})
    assert backend.closed
    assert engine.index()[0].reason == "unloaded"
    bench.offers["m"] = offer("m", 1)
    await engine.load("m")
    assert await answered(engine) == 1
    with pytest.raises(NotFound):
        await engine.unload("nobody")


async def test_two_loads_of_one_model_come_one_after_the_other(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    bench.offers["m"] = offer("m", 2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.load, "m")
        await anyio.to_thread.run_sync(bench.wait_opening)
        tasks.start_soon(engine.load, "m")
        await until(lambda: len(bench.reads) == 1)
        bench.offers["m"] = offer("m", 3)
        bench.release()
    # The second read after the first had ended, and saw what was there then.
    assert len(bench.reads) == 2
    assert await answered(engine) == 3
    assert [backend.version for backend in bench.opened] == [1, 2, 3]


async def test_a_load_of_what_is_served_opens_nothing(engine: LocalEngine, bench: Bench) -> None:
    bench.offers["m"] = offer("m", 1)
    await engine.load("m")
    assert len(bench.opened) == 1


async def test_unload_ends_a_load_and_what_it_opened_is_closed(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    bench.offers["m"] = offer("m", 2)
    loading = asyncio.ensure_future(engine.load("m"))
    await anyio.to_thread.run_sync(bench.wait_opening)
    await engine.unload("m")
    with pytest.raises(Unavailable, match="unloaded while it was loaded"):
        await loading
    bench.release()
    await until(lambda: len(bench.opened) == 2 and bench.of(2).closed)
    with pytest.raises(NotFound):
        await answered(engine)


async def test_unload_ends_the_loads_that_wait_for_their_turn_too(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    bench.offers["m"] = offer("m", 2)
    first = asyncio.ensure_future(engine.load("m"))
    await anyio.to_thread.run_sync(bench.wait_opening)
    second = asyncio.ensure_future(engine.load("m"))
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    await engine.unload("m")
    for load in (first, second):
        with pytest.raises(Unavailable, match="unloaded"):
            await load
    bench.release()
    with pytest.raises(NotFound):
        await answered(engine)
    await engine.load("m")
    assert await answered(engine) == 2


async def test_a_model_that_vanishes_while_it_loads_is_not_served(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.update, snapshot(offer("m", 1), offer("n", 5)))
        await anyio.to_thread.run_sync(bench.wait_opening)
        await engine.update(snapshot(offer("m", 1)))
        bench.release()
    with pytest.raises(NotFound, match="'n'"):
        await answered(engine, name="n")
    await until(lambda: len(bench.opened) == 2 and bench.of(5).closed)


async def test_who_asked_for_a_load_and_left_does_not_end_it(
    engine: LocalEngine, bench: Bench
) -> None:
    bench.wait_opening()
    bench.hold()
    bench.offers["m"] = offer("m", 2)
    loading = asyncio.ensure_future(engine.load("m"))
    await anyio.to_thread.run_sync(bench.wait_opening)
    loading.cancel()
    await asyncio.wait([loading])
    bench.release()
    await until(lambda: states(engine) == {"2": "READY"})


async def test_an_engine_that_stops_while_it_loads_leaves_nothing_open(bench: Bench) -> None:
    bench.hold()
    bench.offers["m"] = offer("m", 1)
    async with LocalEngine(
        registry=CollectorRegistry(), open_release=bench.open, source=bench, explicit=True
    ).running() as engine:
        loading = asyncio.ensure_future(engine.load("m"))
        await anyio.to_thread.run_sync(bench.wait_opening)
    with pytest.raises(Unavailable):
        await loading
    bench.release()
    await until(lambda: len(bench.opened) == 1 and bench.of(1).closed)


async def test_only_where_it_is_explicit_may_callers_load(bench: Bench) -> None:
    async with engine_over(bench, offer("m", 1), explicit=False) as engine:
        with pytest.raises(PermissionDenied, match="explicit"):
            await engine.load("m")
        with pytest.raises(PermissionDenied, match="explicit"):
            await engine.unload("m")
        assert await answered(engine) == 1


async def test_the_index_lists_what_could_be_loaded(engine: LocalEngine, bench: Bench) -> None:
    bench.offers["z"] = offer("z", 1)
    await engine.survey()
    last = engine.index()[-1]
    assert (last.name, last.state, last.reason) == ("z", State.UNAVAILABLE, "not loaded")


async def test_whoever_keeps_results_is_told_of_each_change(bench: Bench) -> None:
    told: list[tuple[str, str]] = []
    async with engine_over(
        bench, offer("m", 1), changed=lambda *change: told.append(change)
    ) as engine:
        assert told == [("m", "1")]
        await engine.update(snapshot(offer("m", 2)))
        assert sorted(set(told[1:])) == [("m", "1"), ("m", "2")]


async def test_old_versions_are_freed(engine: LocalEngine, bench: Bench) -> None:
    gone = [weakref.ref(bench.opened[0])]
    for version in range(2, 6):
        await engine.update(snapshot(offer("m", version)))
        gone.append(weakref.ref(bench.opened[-1]))
    assert await answered(engine) == 5
    await until(lambda: all(backend.closed for backend in bench.opened[:-1]))
    bench.opened.clear()
    await until(lambda: gc.collect() is not None and [ref() for ref in gone[:-1]] == [None] * 4)
    assert gone[-1]() is not None


async def test_instances_share_the_work(bench: Bench) -> None:
    two = offer("m", 1, instances=(InstanceGroup(count=2),))
    async with engine_over(bench, two) as engine:
        first, second = bench.opened
        first.hold()
        second.hold()
        asked = [asyncio.ensure_future(answered(engine)) for _ in range(2)]
        await anyio.to_thread.run_sync(first.wait_entered)
        await anyio.to_thread.run_sync(second.wait_entered)
        first.release()
        second.release()
        assert [await task for task in asked] == [1, 1]


async def test_owned_work_says_what_went_wrong() -> None:
    async def fails() -> None:
        raise NotFound("gone")

    async with anyio.create_task_group() as tasks:
        with pytest.raises(NotFound, match="gone"):
            await owned(tasks, fails)
