"""What every engine promises (`Engine`): asked by images and by tensors, loaded and unloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest
from support.engine import POISON, NumberedBackend, asked_picture, numbers
from support.engines import BOUND, ENGINES, HEAVY_ENGINES, Rig

from secondlook.cloud.engine.asking import Ask, Priority
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.protocol import Engine
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailure,
    NotFound,
    Overloaded,
    SecondlookError,
    Unavailable,
)

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture(
    params=[
        *ENGINES,
        *(
            # Ray leaves sockets and files to the collector.
            pytest.param(name, marks=(pytest.mark.heavy, pytest.mark.filterwarnings("ignore")))
            for name in HEAVY_ENGINES
        ),
    ]
)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with {**ENGINES, **HEAVY_ENGINES}[request.param]() as made:
        yield made


@pytest.fixture
def engine(rig: Rig) -> Engine:
    return rig.engine


@pytest.fixture
def device(rig: Rig) -> NumberedBackend:
    if rig.device is None:
        pytest.skip("the network of this engine runs elsewhere: it cannot be held")
    return rig.device


def soon() -> Deadline:
    return Deadline.after(30, CLOCK)


def to(model: str = "", version: str = "", deadline: Deadline | None = None) -> Ask:
    return Ask(deadline or soon(), model, version)


def ask(engine: Engine, *, x: int = 10, asked: Ask | None = None) -> asyncio.Task[float]:
    """Ask about a picture whose box begins at ``x``; the task gives the x that was found."""

    async def asking() -> float:
        found = await engine.detect(asked_picture(x), asked or to(), min_score=0.1)
        return float(found.detections.boxes[0, 0])

    return asyncio.ensure_future(asking())


async def busy(engine: Engine, device: NumberedBackend) -> asyncio.Task[float]:
    """A request that holds the device until `NumberedBackend.release`."""
    device.hold()
    first = ask(engine, x=1)
    await anyio.to_thread.run_sync(device.wait_entered)
    return first


async def queued() -> None:
    """Let what was asked reach the queue."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


# ---- Asked by images


async def test_answers_with_boxes_and_says_who_and_how_long(engine: Engine) -> None:
    found = await engine.detect(asked_picture(3, 4), to("first"), min_score=0.1)
    assert found.detections.boxes.tolist() == [[3, 4, 4, 9]]
    assert found.detections.class_names() == ["car"]
    assert (found.ran.model, found.ran.version) == ("first", "1")
    assert found.ran.queue_s >= 0
    assert found.ran.infer_s >= 0
    assert found.ran.batch == 1


async def test_lists_its_detectors_and_the_first_is_the_default(engine: Engine) -> None:
    assert [info.name for info in engine.detectors()] == ["first", "second"]
    assert engine.detector() == engine.detector("first") == engine.detector("first", "1")
    found = await engine.detect(asked_picture(3), to("second"))
    assert (found.ran.model, found.ran.version) == ("second", "5")
    assert (await engine.detect(asked_picture(3), to())).ran.model == "first"


@pytest.mark.parametrize(("model", "version"), [("nobody", ""), ("first", "9"), ("third", "")])
async def test_what_is_not_served_is_not_found(engine: Engine, model: str, version: str) -> None:
    with pytest.raises(NotFound, match=model):
        await engine.detect(asked_picture(3), to(model, version))
    with pytest.raises(NotFound, match=model):
        await engine.infer(numbers(1), to(model, version))
    with pytest.raises(NotFound, match=model):
        engine.signature(model, version)
    with pytest.raises(NotFound, match=model):
        engine.detector(model, version)
    with pytest.raises(NotFound, match=model):
        engine.config(model, version)
    with pytest.raises(NotFound, match=model):
        engine.statistics(model, version)


async def test_boxes_below_the_score_are_not_returned(engine: Engine) -> None:
    found = await engine.detect(asked_picture(3), to(), min_score=0.95)
    assert len(found.detections) == 0


async def test_the_picture_is_not_written_to(engine: Engine) -> None:
    image = asked_picture(3, 4)
    image.flags.writeable = False
    await engine.detect(image, to())
    assert (image == asked_picture(3, 4)).all()


async def test_each_of_a_batch_gets_its_own_boxes(engine: Engine, device: NumberedBackend) -> None:
    first = await busy(engine, device)
    others = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued()
    device.release()
    assert [await task for task in (first, *others)] == [1, 11, 12, 13]
    assert sum(device.calls) == 4
    assert max(device.calls) > 1


async def test_scores_wanted_by_neighbours_do_not_mix(
    engine: Engine, device: NumberedBackend
) -> None:
    await busy(engine, device)
    asked = [
        asyncio.ensure_future(engine.detect(asked_picture(3), to(), min_score=score))
        for score in (0.95, 0.1)
    ]
    await queued()
    device.release()
    assert [len((await task).detections) for task in asked] == [0, 1]


# ---- Asked by tensors


async def test_answers_with_tensors(engine: Engine) -> None:
    got = await engine.infer(numbers(7, rows=2), to("first"))
    assert got.outputs["y"].tolist() == [[1007, 1007]] * 2
    assert got.outputs["y"].dtype == np.float32
    assert (got.ran.model, got.ran.version) == ("first", "1")


async def test_says_what_it_takes_and_gives(engine: Engine) -> None:
    signature = engine.signature("first")
    assert [(spec.name, spec.dtype, spec.shape) for spec in signature.inputs] == [
        ("x", "FP32", (2,))
    ]
    assert [spec.name for spec in signature.outputs] == ["y"]
    assert signature.max_batch == 4
    # Callers keep what they derive from it for as long as the version lasts.
    assert engine.signature("first") is signature


@pytest.mark.parametrize(
    ("tensors", "outputs"),
    [
        ({}, ()),
        ({"z": np.zeros((1, 2), np.float32)}, ()),
        ({"x": np.zeros((1, 2), np.float64)}, ()),
        ({"x": np.zeros((1, 3), np.float32)}, ()),
        ({"x": np.zeros((5, 2), np.float32)}, ()),
        ({"x": np.zeros((0, 2), np.float32)}, ()),
        (numbers(1), ("nothing",)),
    ],
    ids=["none", "unknown", "dtype", "shape", "too-many-rows", "no-rows", "output"],
)
async def test_what_the_model_does_not_take_is_refused(
    engine: Engine, tensors: dict[str, np.ndarray], outputs: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput):
        await engine.infer(tensors, to(), outputs)
    assert (await engine.infer(numbers(1), to())).outputs["y"].tolist() == [[1001, 1001]]


async def test_many_at_once_get_their_own_answers(engine: Engine) -> None:
    asked = [
        asyncio.ensure_future(engine.infer(numbers(value), to()))
        if value % 2
        else asyncio.ensure_future(engine.infer(numbers(value), to("second")))
        for value in range(BOUND)
    ]
    for value, task in enumerate(asked):
        version = 1 if value % 2 else 5
        assert (await task).outputs["y"][0, 0] == value + 1000 * version


# ---- Neighbours


async def test_a_cancelled_caller_leaves_its_neighbours_alone(
    engine: Engine, device: NumberedBackend
) -> None:
    first = await busy(engine, device)
    others = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued()
    others[1].cancel()
    await asyncio.wait([others[1]])
    device.release()
    assert [await task for task in (first, others[0], others[2])] == [1, 11, 13]
    # It was not run either: it had left the queue.
    assert sum(device.calls) == 3


async def test_a_caller_cancelled_while_its_batch_runs_hurts_nobody(
    engine: Engine, device: NumberedBackend
) -> None:
    first = await busy(engine, device)
    first.cancel()
    await asyncio.wait([first])
    behind = ask(engine, x=11)
    await queued()
    device.release()
    # The answer that nobody takes must not end the batcher.
    assert await behind == 11
    assert await ask(engine, x=12) == 12


async def test_all_callers_of_a_batch_cancelled_and_the_next_is_answered(
    engine: Engine, device: NumberedBackend
) -> None:
    await busy(engine, device)
    gone = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued()
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    last = ask(engine, x=14)
    await queued()
    device.release()
    assert await last == 14
    assert device.calls == [1, 1]


async def test_a_poisoned_image_fails_alone(engine: Engine, device: NumberedBackend) -> None:
    first = await busy(engine, device)
    good = [ask(engine, x=x) for x in (11, 12)]
    poisoned = asked_picture(0)
    poisoned[0, 0, 0] = 13
    bad = asyncio.ensure_future(engine.detect(poisoned, to()))
    await queued()
    device.release()
    with pytest.raises(ModelFailure):
        await bad
    assert [await task for task in (first, *good)] == [1, 11, 12]


async def test_a_poisoned_tensor_fails_and_the_next_is_answered(engine: Engine) -> None:
    with pytest.raises(ModelFailure):
        await engine.infer(numbers(POISON), to())
    assert (await engine.infer(numbers(2), to())).outputs["y"][0, 0] == 1002


async def test_a_model_that_failed_is_asked_again(engine: Engine, device: NumberedBackend) -> None:
    device.broken = True
    with pytest.raises(ModelFailure):
        await ask(engine)
    device.broken = False
    assert await ask(engine, x=9) == 9


# ---- Bounds and deadlines


async def test_beyond_the_bound_work_is_refused_at_once(
    engine: Engine, device: NumberedBackend
) -> None:
    first = await busy(engine, device)
    accepted = [ask(engine, x=10 + n) for n in range(BOUND)]
    await queued()
    with pytest.raises(Overloaded):
        await ask(engine)
    device.release()
    assert await first == 1
    assert [await task for task in accepted] == [10 + n for n in range(BOUND)]


async def test_a_cancelled_caller_frees_its_place(engine: Engine, device: NumberedBackend) -> None:
    await busy(engine, device)
    accepted = [ask(engine, x=10 + n) for n in range(BOUND)]
    await queued()
    accepted[0].cancel()
    await asyncio.wait([accepted[0]])
    newcomer = ask(engine, x=30)
    await queued()
    device.release()
    assert await newcomer == 30


async def test_the_most_urgent_goes_first(engine: Engine, device: NumberedBackend) -> None:
    await busy(engine, device)
    order: list[int] = []
    for x, seconds in ((1, 50.0), (2, 10.0), (3, 40.0), (4, 20.0), (5, 30.0)):
        task = ask(engine, x=x, asked=to(deadline=Deadline.after(seconds, CLOCK)))
        task.add_done_callback(lambda done: order.append(int(done.result())))
        await queued()
    device.release()
    with anyio.fail_after(10):
        while len(order) < 5:
            await anyio.lowlevel.checkpoint()
    assert order == [2, 4, 5, 3, 1]


async def test_escalations_go_before_audits(engine: Engine, device: NumberedBackend) -> None:
    await busy(engine, device)
    order: list[int] = []
    for x in range(5):
        priority = Priority.AUDIT if x == 0 else Priority.ESCALATION
        seconds = 5.0 if x == 0 else 20.0
        asked = Ask(Deadline.after(seconds, CLOCK), priority=priority)
        task = ask(engine, x=x, asked=asked)
        task.add_done_callback(lambda done: order.append(int(done.result())))
        await queued()
    device.release()
    with anyio.fail_after(10):
        while len(order) < 5:
            await anyio.lowlevel.checkpoint()
    assert order[-1] == 0


async def test_expired_before_it_came(rig: Rig) -> None:
    late = to(deadline=Deadline.after(0, CLOCK))
    with pytest.raises(DeadlineExceeded):
        await ask(rig.engine, asked=late)
    with pytest.raises(DeadlineExceeded):
        await rig.engine.infer(numbers(1), late)
    if rig.device is not None:
        assert rig.device.calls == []


async def test_expired_while_it_waited_is_told_at_once_and_never_run(
    engine: Engine, device: NumberedBackend
) -> None:
    first = await busy(engine, device)
    late = ask(engine, asked=to(deadline=Deadline.after(0.02, CLOCK)))
    with pytest.raises(DeadlineExceeded):
        await late
    assert not first.done()
    device.release()
    assert await first == 1
    assert await ask(engine, x=7) == 7
    assert device.calls == [1, 1]


async def test_expired_while_it_ran_is_told_at_once(
    engine: Engine, device: NumberedBackend
) -> None:
    device.hold()
    with pytest.raises(DeadlineExceeded):
        await ask(engine, asked=to(deadline=Deadline.after(0.02, CLOCK)))
    device.release()
    assert await ask(engine, x=7) == 7


# ---- Models come and go


def state_of(engine: Engine, model: str) -> dict[str, State]:
    return {entry.version: entry.state for entry in engine.index() if entry.name == model}


async def until(engine: Engine, model: str, states: dict[str, State]) -> None:
    with anyio.fail_after(10):
        while state_of(engine, model) != states:
            await anyio.lowlevel.checkpoint()


async def test_lists_what_it_serves(engine: Engine) -> None:
    assert state_of(engine, "first") == {"1": State.READY}
    assert state_of(engine, "second") == {"5": State.READY}
    config = engine.config("first")
    assert (config.name, config.max_batch) == ("first", 4)


async def test_counts_what_was_asked(engine: Engine) -> None:
    await engine.infer(numbers(1, rows=3), to("first"))
    (counted,) = engine.statistics("first")
    assert (counted.name, counted.version) == ("first", "1")
    assert counted.success.count == 1
    assert counted.inferences == 3
    assert {one.name for one in engine.statistics()} == {"first", "second"}


async def test_loads_a_model_that_was_not_served(engine: Engine) -> None:
    await engine.load("third")
    assert state_of(engine, "third") == {"7": State.READY}
    assert (await engine.infer(numbers(1), to("third"))).outputs["y"][0, 0] == 7001
    await engine.unload("third")
    with pytest.raises(NotFound, match="third"):
        await engine.infer(numbers(1), to("third"))
    await until(engine, "third", {"7": State.UNAVAILABLE})
    await engine.load("third")
    assert (await engine.infer(numbers(1), to("third"))).outputs["y"][0, 0] == 7001


async def test_loads_a_newer_version_in_place_of_the_old(engine: Engine) -> None:
    await engine.load("first")
    got = await engine.infer(numbers(1), to("first"))
    assert (got.outputs["y"][0, 0], got.ran.version) == (2001, "2")
    await until(engine, "first", {"2": State.READY})
    assert engine.detector("first").version == "2"


async def test_what_cannot_be_loaded_says_why_and_hurts_nobody(engine: Engine) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await engine.load("nobody")
    with pytest.raises(SecondlookError) as failed:
        await engine.load("broken")
    assert not isinstance(failed.value, NotFound)
    assert state_of(engine, "broken") == {"9": State.UNAVAILABLE}
    assert (await engine.infer(numbers(1), to())).ran.version == "1"
    with pytest.raises(NotFound, match="nobody"):
        await engine.unload("nobody")


# ---- The end


async def test_drain_finishes_what_was_accepted(engine: Engine, device: NumberedBackend) -> None:
    first = await busy(engine, device)
    accepted = [ask(engine, x=x) for x in (11, 12)]
    await queued()
    draining = asyncio.ensure_future(engine.drain())
    await queued()
    with pytest.raises(Unavailable):
        await ask(engine)
    assert not draining.done()
    device.release()
    assert [await task for task in (first, *accepted)] == [1, 11, 12]
    await draining
    assert device.closed
    with pytest.raises(Unavailable):
        await ask(engine)
    with pytest.raises(Unavailable):
        await engine.infer(numbers(1), to())


async def test_a_drain_that_is_cut_short_fails_what_still_waits(
    engine: Engine, device: NumberedBackend
) -> None:
    await busy(engine, device)
    waiting = ask(engine, x=11)
    await queued()
    with anyio.move_on_after(0.02):
        await engine.drain()
    with pytest.raises(Unavailable):
        await waiting
    device.release()
