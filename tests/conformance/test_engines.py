"""What every engine promises (`Engine`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import POISON, FakeDetector, picture

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.local import Loaded, LocalEngine
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.protocol import Engine
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    ModelFailure,
    NotFound,
    Overloaded,
    Unavailable,
)

pytestmark = pytest.mark.anyio

BOUND = 6
CLOCK = SystemClock()


@pytest.fixture
def detector() -> FakeDetector:
    return FakeDetector("first", max_batch=4)


@pytest.fixture(params=["local"])
async def engine(detector: FakeDetector) -> AsyncIterator[Engine]:
    made = LocalEngine(
        [Loaded(detector), Loaded(FakeDetector("second"))],
        metrics=EngineMetrics(CollectorRegistry()),
        max_queue=BOUND,
    )
    made.start()
    yield made
    detector.release()
    await made.drain()


def soon() -> Deadline:
    return Deadline.after(30, CLOCK)


def ask(engine: Engine, *, x: int = 10, deadline: Deadline | None = None) -> asyncio.Task[float]:
    """Ask about a picture whose car begins at ``x``; the task gives the x that was found."""
    image = picture(64, 48, (x, 8, x + 6, 20))

    async def asking() -> float:
        found = await engine.detect(image, Ask(deadline or soon()), min_score=0.1)
        return float(found.detections.boxes[0, 0])

    return asyncio.ensure_future(asking())


async def busy(engine: Engine, detector: FakeDetector) -> asyncio.Task[float]:
    """A request that holds the device until `FakeDetector.release`."""
    detector.hold()
    first = ask(engine, x=1)
    await anyio.to_thread.run_sync(detector.wait_entered)
    return first


async def queued(*tasks: asyncio.Task[float]) -> None:
    """Let the tasks reach the queue."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def test_answers_with_boxes_and_times(engine: Engine) -> None:
    found = await engine.detect(picture(64, 48, (3, 4, 9, 12)), Ask(soon(), "first"), min_score=0.1)
    assert found.detections.boxes.tolist() == [[3, 4, 9, 12]]
    assert found.detections.class_names() == ["car"]
    assert (found.ran.model, found.ran.version) == ("first", "1")
    assert found.ran.queue_s >= 0
    assert found.ran.infer_s >= 0


async def test_lists_its_models_and_the_first_is_the_default(engine: Engine) -> None:
    assert [info.name for info in engine.detectors()] == ["first", "second"]
    await engine.detect(picture(8, 8), Ask(soon(), "second"))
    with pytest.raises(NotFound, match="third"):
        await engine.detect(picture(8, 8), Ask(soon(), "third"))


async def test_boxes_below_the_score_are_not_returned(engine: Engine) -> None:
    image = picture(64, 48, (3, 4, 9, 12))
    found = await engine.detect(image, Ask(soon()), min_score=0.95)
    assert len(found.detections) == 0


async def test_each_of_a_batch_gets_its_own_boxes(engine: Engine, detector: FakeDetector) -> None:
    first = await busy(engine, detector)
    others = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued(*others)
    detector.release()
    assert [await task for task in (first, *others)] == [1, 11, 12, 13]
    assert detector.batches == [1, 3]


async def test_scores_wanted_by_neighbours_do_not_mix(
    engine: Engine, detector: FakeDetector
) -> None:
    await busy(engine, detector)
    image = picture(64, 48, (3, 4, 9, 12))
    asked = [
        asyncio.ensure_future(engine.detect(image, Ask(soon()), min_score=score))
        for score in (0.95, 0.1)
    ]
    await queued()
    detector.release()
    assert [len((await task).detections) for task in asked] == [0, 1]


async def test_a_cancelled_caller_leaves_its_neighbours_alone(
    engine: Engine, detector: FakeDetector
) -> None:
    first = await busy(engine, detector)
    others = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued(*others)
    others[1].cancel()
    await asyncio.wait([others[1]])
    detector.release()
    assert [await task for task in (first, others[0], others[2])] == [1, 11, 13]
    # It was not run either: it had left the queue.
    assert detector.batches == [1, 2]


async def test_a_caller_cancelled_while_its_batch_runs_hurts_nobody(
    engine: Engine, detector: FakeDetector
) -> None:
    first = await busy(engine, detector)
    first.cancel()
    await asyncio.wait([first])
    behind = ask(engine, x=11)
    await queued(behind)
    detector.release()
    # The answer that nobody takes must not end the batcher.
    assert await behind == 11
    assert await ask(engine, x=12) == 12


async def test_all_callers_of_a_batch_cancelled_and_the_next_is_answered(
    engine: Engine, detector: FakeDetector
) -> None:
    await busy(engine, detector)
    gone = [ask(engine, x=x) for x in (11, 12, 13)]
    await queued(*gone)
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    last = ask(engine, x=14)
    await queued(last)
    detector.release()
    assert await last == 14
    assert detector.batches == [1, 1]


async def test_beyond_the_bound_work_is_refused_at_once(
    engine: Engine, detector: FakeDetector
) -> None:
    first = await busy(engine, detector)
    accepted = [ask(engine, x=10 + n) for n in range(BOUND)]
    await queued(*accepted)
    with pytest.raises(Overloaded):
        await ask(engine)
    detector.release()
    assert await first == 1
    assert [await task for task in accepted] == [10 + n for n in range(BOUND)]


async def test_a_cancelled_caller_frees_its_place(engine: Engine, detector: FakeDetector) -> None:
    await busy(engine, detector)
    accepted = [ask(engine, x=10 + n) for n in range(BOUND)]
    await queued(*accepted)
    accepted[0].cancel()
    await asyncio.wait([accepted[0]])
    newcomer = ask(engine, x=30)
    await queued(newcomer)
    detector.release()
    assert await newcomer == 30


async def test_the_most_urgent_goes_first(engine: Engine, detector: FakeDetector) -> None:
    await busy(engine, detector)
    order: list[int] = []
    for x, seconds in ((1, 50.0), (2, 10.0), (3, 40.0), (4, 20.0), (5, 30.0)):
        task = ask(engine, x=x, deadline=Deadline.after(seconds, CLOCK))
        task.add_done_callback(lambda done: order.append(int(done.result())))
        await queued(task)
    detector.release()
    with anyio.fail_after(10):
        while len(order) < 5:
            await anyio.lowlevel.checkpoint()
    assert order == [2, 4, 5, 3, 1]
    assert detector.batches == [1, 4, 1]


async def test_expired_before_it_came(engine: Engine, detector: FakeDetector) -> None:
    with pytest.raises(DeadlineExceeded):
        await ask(engine, deadline=Deadline.after(0, CLOCK))
    assert detector.batches == []


async def test_expired_while_it_waited_is_told_at_once_and_never_run(
    engine: Engine, detector: FakeDetector
) -> None:
    first = await busy(engine, detector)
    late = ask(engine, deadline=Deadline.after(0.02, CLOCK))
    with pytest.raises(DeadlineExceeded):
        await late
    assert not first.done()
    detector.release()
    assert await first == 1
    assert await ask(engine, x=7) == 7
    assert detector.batches == [1, 1]


async def test_expired_while_it_ran_is_told_at_once(engine: Engine, detector: FakeDetector) -> None:
    detector.hold()
    with pytest.raises(DeadlineExceeded):
        await ask(engine, deadline=Deadline.after(0.02, CLOCK))
    detector.release()
    assert await ask(engine, x=7) == 7


async def test_a_poisoned_image_fails_alone(engine: Engine, detector: FakeDetector) -> None:
    first = await busy(engine, detector)
    good = [ask(engine, x=x) for x in (11, 12)]
    poisoned = picture(64, 48)
    poisoned[0, 0, 0] = POISON
    bad = asyncio.ensure_future(engine.detect(poisoned, Ask(soon()), min_score=0.1))
    await queued(*good)
    detector.release()
    with pytest.raises(ModelFailure):
        await bad
    assert [await task for task in (first, *good)] == [1, 11, 12]
    assert detector.batches == [1, 3, 1, 1, 1]


async def test_a_model_that_failed_is_asked_again(engine: Engine, detector: FakeDetector) -> None:
    detector.broken = True
    with pytest.raises(ModelFailure):
        await ask(engine)
    detector.broken = False
    assert await ask(engine, x=9) == 9


async def test_drain_finishes_what_was_accepted(engine: Engine, detector: FakeDetector) -> None:
    first = await busy(engine, detector)
    accepted = [ask(engine, x=x) for x in (11, 12)]
    await queued(*accepted)
    draining = asyncio.ensure_future(engine.drain())
    await queued()
    with pytest.raises(Unavailable):
        await ask(engine)
    assert not draining.done()
    detector.release()
    assert [await task for task in (first, *accepted)] == [1, 11, 12]
    await draining
    assert detector.closed
    with pytest.raises(Unavailable):
        await ask(engine)


async def test_a_drain_that_is_cut_short_fails_what_still_waits(
    engine: Engine, detector: FakeDetector
) -> None:
    await busy(engine, detector)
    waiting = ask(engine, x=11)
    await queued(waiting)
    with anyio.move_on_after(0.02):
        await engine.drain()
    with pytest.raises(Unavailable):
        await waiting
    detector.release()
