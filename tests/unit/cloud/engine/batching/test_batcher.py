from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.batching import SAY, EchoLane, Say, ask
from support.waiting import until

from secondlook.cloud.engine.asking import Ask, Priority, Ran
from secondlook.cloud.engine.batching import IMAGES, Batcher, Instance, Overflow, Policy
from secondlook.cloud.engine.batching.pace import KEEP
from secondlook.cloud.engine.batching.rates import INLINE_AFTER
from secondlook.cloud.engine.metrics import TENANTS, EngineMetrics
from secondlook.cloud.repository.config import Batching, ModelConfig
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailure,
    Overloaded,
    SecondlookError,
    Unavailable,
)

pytestmark = pytest.mark.anyio

WIDE = Policy(max_batch=8, max_queue=256)


@asynccontextmanager
async def running(
    *lanes: EchoLane, policy: Policy = WIDE, registry: CollectorRegistry | None = None
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        "m",
        "7",
        [Instance({SAY: lane}) for lane in lanes],
        policy,
        metrics=EngineMetrics(registry or CollectorRegistry()),
        variant="int8",
    )
    batcher.start()
    try:
        yield batcher
    finally:
        for lane in lanes:
            lane.release()
        await batcher.drain()


def start(batcher: Batcher, payload: Say, asked: Ask | None = None) -> asyncio.Task[Any]:
    return asyncio.ensure_future(batcher.submit(SAY, payload, asked or ask()))


def learned(batcher: Batcher) -> None:
    """Make it known that large batches pay."""
    for size in (1, 2, 4, 8):
        for _ in range(KEEP):
            batcher.pace.record(size, 10.0)


async def held_batch(batcher: Batcher, lane: EchoLane, says: Sequence[Say]) -> list[Any]:
    """Let these run as one batch: they queue while the only thread is held."""
    learned(batcher)
    lane.hold()
    first = start(batcher, Say("first"))
    await anyio.to_thread.run_sync(lane.wait_entered)
    tasks = [start(batcher, say) for say in says]
    await until(lambda: batcher.waiting == len(says))
    tasks.insert(0, first)
    return tasks


async def outcomes(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    """Words, and classes of errors."""
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(end) if isinstance(end, BaseException) else end[0] for end in ended]


async def test_an_answer_says_what_gave_it() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        word, ran = await batcher.submit(SAY, Say("a"), ask(), reason="because")
        assert word == "a"
        assert ran == Ran("m", "7", "int8", ran.queue_s, ran.infer_s, 1, "because")
        assert ran.queue_s >= 0
        assert ran.infer_s > 0


async def test_what_waits_together_runs_together_and_each_hears_its_own() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(8)])
        lane.release()
        assert await outcomes(tasks) == ["first", *range(8)]
        assert lane.batches[-1] == list(range(8))
        assert (await tasks[3])[1].batch == 8


async def test_mixed_rows_and_keys() -> None:
    lane = EchoLane()
    says = [Say(n, rows=1 + n % 3, key=n % 2) for n in range(24)]
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, says)
        lane.release()
        assert await outcomes(tasks) == ["first", *range(24)]
    for batch in lane.batches[1:]:
        assert sum(says[n].rows for n in batch) <= 8
        assert len({says[n].key for n in batch}) == 1
    assert len(lane.batches) <= 12


@pytest.mark.parametrize("poisoned", [{0}, {7}, {2, 5}, set(range(8))])
async def test_a_poisoned_request_fails_alone(poisoned: set[int]) -> None:
    registry = CollectorRegistry()
    lane = EchoLane(lambda say: ValueError("poison") if say.word in poisoned else None)
    async with running(lane, registry=registry) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(8)])
        lane.release()
        expected = [ValueError if n in poisoned else n for n in range(8)]
        assert await outcomes(tasks) == ["first", *expected]
        assert len(lane.batches) <= 1 + 1 + 2 * 3 * len(poisoned)
        assert await outcomes([start(batcher, Say("after"))]) == ["after"]


async def test_what_is_not_there_is_not_asked_again() -> None:
    lane = EchoLane(lambda say: Unavailable("gone") if say.word != "first" else None)
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(8)])
        lane.release()
        assert await outcomes(tasks) == ["first", *[Unavailable] * 8]
        assert len(lane.batches) == 2


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit()]
)
async def test_no_error_of_a_network_ends_its_thread_or_the_loop(error: BaseException) -> None:
    lane = EchoLane(lambda say: error if say.word == "bad" else None)
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say("good"), Say("bad"), Say("fine")])
        lane.release()
        assert await outcomes(tasks) == ["first", "good", ModelFailure, "fine"]
        assert await outcomes([start(batcher, Say("after"))]) == ["after"]


async def test_a_model_that_answers_too_few_has_failed() -> None:
    class Short(EchoLane):
        def run(self, payloads: Sequence[Say]) -> list[Any]:
            return super().run(payloads)[: len(payloads) // 2 or len(payloads)]

    lane = Short()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(4)])
        lane.release()
        assert await outcomes(tasks) == ["first", 0, 1, 2, 3], "alone, each is answered right"


async def test_an_answer_that_is_an_error_is_that_callers_alone() -> None:
    class Picky(EchoLane):
        def run(self, payloads: Sequence[Say]) -> list[Any]:
            words = super().run(payloads)
            return [InvalidInput("no") if word == 1 else word for word in words]

    lane = Picky()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(3)])
        lane.release()
        assert await outcomes(tasks) == ["first", 0, InvalidInput, 2]
        assert len(lane.batches) == 2, "nobody was asked again"


async def test_a_batch_too_large_for_the_device_is_not_tried_again() -> None:
    class Small(EchoLane):
        def run(self, payloads: Sequence[Say]) -> list[Any]:
            words = super().run(payloads)
            if len(payloads) > 4:
                raise MemoryError
            return words

    lane = Small()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(8)])
        lane.release()
        assert await outcomes(tasks) == ["first", *range(8)]
        await until(lambda: not batcher.stuck_s())
        count = len(lane.batches)
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(8)])
        lane.release()
        assert await outcomes(tasks) == ["first", *range(8)]
        assert max(map(len, lane.batches[count:])) == 4


async def test_cancelling_one_of_a_batch_does_not_touch_the_others() -> None:
    lane = EchoLane()
    registry = CollectorRegistry()
    async with running(lane, registry=registry) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(4)])
        tasks[2].cancel()
        await until(lambda: batcher.waiting == 3)
        lane.release()
        assert await outcomes(tasks) == ["first", 0, asyncio.CancelledError, 2, 3]
        assert lane.batches[-1] == [0, 2, 3], "what left is not run"
        assert batcher.in_flight == 0
        assert dropped(registry, "cancelled") == 1


async def test_cancelling_while_the_batch_runs_does_not_touch_the_others() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(4)])
        lane.release()
        await tasks[0]
        lane.hold()
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(4)])
        running_task = tasks[0]
        running_task.cancel()
        lane.release()
        assert await outcomes(tasks) == [asyncio.CancelledError, 0, 1, 2, 3]


async def test_a_request_that_leaves_before_its_thread_wakes_is_not_run() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        await until(lambda: len(batcher._dispatch._idle) == 1)
        (seat,) = batcher._dispatch.seats
        # The bell is held back: the thread sleeps until the test rings.
        real, seat.bell = seat.bell, threading.Lock()
        seat.bell.acquire()
        gone, kept = start(batcher, Say("gone")), start(batcher, Say("kept"))
        await until(lambda: batcher.waiting == 2)
        gone.cancel()
        assert await outcomes([gone]) == [asyncio.CancelledError]
        seat.bell.acquire(blocking=False)
        seat.bell = real
        real.release()
        assert await outcomes([kept]) == ["kept"]
        assert lane.batches == [["kept"]]


async def test_a_caller_whose_network_hangs_is_told_at_its_deadline() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        lane.hold()
        task = start(batcher, Say("a"), ask(0.05))
        assert await outcomes([task]) == [DeadlineExceeded]
        assert batcher.stuck_s() > 0
        lane.release()
        assert await outcomes([start(batcher, Say("b"))]) == ["b"]


async def test_what_expires_while_it_waits_is_never_run() -> None:
    lane = EchoLane()
    registry = CollectorRegistry()
    async with running(lane, registry=registry) as batcher:
        lane.hold()
        first = start(batcher, Say("first"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        late = start(batcher, Say("late"), ask(0.02))
        later = start(batcher, Say("later"), ask(0.04))
        assert await outcomes([late, later]) == [DeadlineExceeded] * 2
        assert batcher.waiting == 0
        lane.release()
        await first
        assert lane.batches == [["first"]]
        assert dropped(registry, "expired") == 2
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(SAY, Say("too late"), ask(-1.0))
        assert dropped(registry, "expired") == 3


async def test_what_never_can_work_is_refused_before_it_waits() -> None:
    async with running(EchoLane()) as batcher:
        with pytest.raises(InvalidInput, match="9 rows"):
            await batcher.submit(SAY, Say("a", rows=9), ask())
        with pytest.raises(InvalidInput, match="images"):
            await batcher.submit(IMAGES, None, ask())  # type: ignore[arg-type]


async def test_without_batching_a_request_of_many_rows_has_its_call_alone() -> None:
    lane = EchoLane()
    config = ModelConfig("m", "onnxruntime", max_batch=8, batching=None)
    async with running(lane, policy=Policy.of(config, 8, WIDE)) as batcher:
        tasks = await held_batch(batcher, lane, [Say("a", rows=4), Say("b"), Say("c")])
        lane.release()
        assert await outcomes(tasks) == ["first", "a", "b", "c"]
        assert all(len(batch) == 1 for batch in lane.batches)
        with pytest.raises(InvalidInput, match="9 rows"):
            await batcher.submit(SAY, Say("a", rows=9), ask())


async def test_a_full_queue_says_when_to_come_again() -> None:
    lane = EchoLane()
    registry = CollectorRegistry()
    policy = Policy(max_batch=1, max_queue=1, admission=False)
    async with running(lane, policy=policy, registry=registry) as batcher:
        await batcher.submit(SAY, Say("warm"), ask())
        lane.wait_entered()
        lane.hold()
        first = start(batcher, Say("first"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        second = start(batcher, Say("second"))
        await until(lambda: batcher.waiting == 1)
        with pytest.raises(Overloaded) as refused:
            await batcher.submit(SAY, Say("third"), ask(tenant="t"))
        assert refused.value.retry_after_s is not None
        assert refused.value.retry_after_s > 0
        lane.release()
        assert await outcomes([first, second]) == ["first", "second"]
        labels = {"model": "m", "tenant": "t"}
        assert registry.get_sample_value("secondlook_cloud_engine_refused_total", labels) == 1


async def test_a_request_dropped_for_another_hears_of_it() -> None:
    lane = EchoLane()
    policy = Policy(max_batch=1, max_queue=1, overflow=Overflow.DROP_OLDEST)
    async with running(lane, policy=policy) as batcher:
        lane.hold()
        first = start(batcher, Say("first"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        old = start(batcher, Say("old"))
        await until(lambda: batcher.waiting == 1)
        new = start(batcher, Say("new"))
        assert await outcomes([old]) == [Overloaded]
        lane.release()
        assert await outcomes([first, new]) == ["first", "new"]


async def test_what_cannot_be_answered_in_time_is_refused_at_once() -> None:
    lane = EchoLane()
    async with running(lane, policy=Policy(max_batch=1)) as batcher:
        for _ in range(2):
            batcher.pace.record(1, 10.0)
        lane.hold()
        first = start(batcher, Say("first"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        with pytest.raises(Overloaded, match="would take"):
            await batcher.submit(SAY, Say("no"), ask(5.0))
        second = start(batcher, Say("yes"), ask(60.0))
        lane.release()
        assert await outcomes([first, second]) == ["first", "yes"]


async def test_instances_work_at_once() -> None:
    lanes = [EchoLane(), EchoLane()]
    async with running(*lanes) as batcher:
        for lane in lanes:
            lane.hold()
        tasks = [start(batcher, Say(n)) for n in range(2)]
        for lane in lanes:
            await anyio.to_thread.run_sync(lane.wait_entered)
        for lane in lanes:
            lane.release()
        assert await outcomes(tasks) == [0, 1]


async def test_more_urgent_classes_go_first() -> None:
    lane = EchoLane()
    async with running(lane, policy=Policy(max_batch=1)) as batcher:
        lane.hold()
        first = start(batcher, Say("first"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        tasks = [
            start(batcher, Say(priority.name), ask(priority=priority))
            for priority in reversed(Priority)
        ]
        await until(lambda: batcher.waiting == 3)
        lane.release()
        await outcomes([first, *tasks])
        assert lane.batches == [["first"], ["ESCALATION"], ["AUDIT"], ["LEARNING"]]


async def test_draining_finishes_what_was_accepted_and_closes() -> None:
    closed: list[str] = []
    lane = EchoLane()
    batcher = Batcher(
        "m",
        "1",
        [Instance({SAY: lane}, lambda: closed.append("closed"))],
        WIDE,
        metrics=EngineMetrics(CollectorRegistry()),
    )
    batcher.start()
    lane.hold()
    tasks = [start(batcher, Say(n)) for n in range(5)]
    await anyio.to_thread.run_sync(lane.wait_entered)
    drained = asyncio.ensure_future(batcher.drain())
    await anyio.lowlevel.checkpoint()
    with pytest.raises(Unavailable, match="draining"):
        await batcher.submit(SAY, Say("new"), ask())
    assert not closed
    lane.release()
    assert await outcomes(tasks) == list(range(5))
    await drained
    assert closed == ["closed"]
    await batcher.drain()


async def test_a_drain_that_is_cut_short_answers_what_waits() -> None:
    lane = EchoLane()
    async with running(lane, policy=Policy(max_batch=1)) as batcher:
        lane.hold()
        hanging = start(batcher, Say("hangs"))
        await anyio.to_thread.run_sync(lane.wait_entered)
        waiting = start(batcher, Say("waits"))
        await until(lambda: batcher.waiting == 1)
        with anyio.move_on_after(0.01):
            await batcher.drain()
        assert await outcomes([waiting]) == [Unavailable]
        lane.release()
        assert await outcomes([hanging]) == ["hangs"]


async def test_what_waits_can_be_failed_while_the_rest_goes_on() -> None:
    lane = EchoLane()
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say(n) for n in range(3)])
        assert batcher.fail_waiting(Unavailable("the breaker is open")) == 3
        assert await outcomes(tasks[1:]) == [Unavailable] * 3
        lane.release()
        assert await outcomes([tasks[0], start(batcher, Say("after"))]) == ["first", "after"]


async def test_a_device_waits_for_a_fuller_batch_where_that_pays() -> None:
    lane = EchoLane()
    policy = Policy(max_batch=4, max_queue_delay_s=600.0, preferred=(4,))
    async with running(lane, policy=policy) as batcher:
        batcher.pace.record(1, 0.1)
        batcher.pace.record(1, 0.1)
        batcher.pace.record(4, 0.1)
        batcher.pace.record(4, 0.1)
        # Arrivals so far make it worth while.
        tasks = [start(batcher, Say(n)) for n in range(8)]
        assert await outcomes(tasks) == list(range(8))
        assert [len(batch) for batch in lane.batches] == [4, 4]


async def test_a_network_quicker_than_a_thread_runs_at_once() -> None:
    lane = EchoLane()
    instance = Instance({SAY: lane}, here=True)
    batcher = Batcher("m", "1", [instance], WIDE, metrics=EngineMetrics(CollectorRegistry()))
    batcher.start()
    for _ in range(INLINE_AFTER):
        batcher._dispatch.quickness.took(1, 1e-6)
    await until(lambda: len(batcher._dispatch._idle) == 1)
    asked = batcher.submit(SAY, Say("a"), ask())
    with pytest.raises(StopIteration) as stopped:
        asked.send(None)
    assert stopped.value.value[0] == "a", "answered without waiting for anything"
    assert batcher.statistics.executions == 1
    batcher._dispatch.quickness.took(1, 1.0)
    assert (await batcher.submit(SAY, Say("b"), ask()))[0] == "b"
    await batcher.drain()


@pytest.mark.parametrize("raises", [ValueError("x"), SystemExit(2), StopIteration()])
async def test_a_failure_at_once_is_its_callers(raises: BaseException) -> None:
    lane = EchoLane(lambda say: raises if say.word == "bad" else None)
    batcher = Batcher(
        "m",
        "1",
        [Instance({SAY: lane}, here=True)],
        WIDE,
        metrics=EngineMetrics(CollectorRegistry()),
    )
    batcher.start()
    for _ in range(INLINE_AFTER):
        batcher._dispatch.quickness.took(1, 1e-6)
    await until(lambda: len(batcher._dispatch._idle) == 1)
    with pytest.raises((ValueError, ModelFailure)):
        await batcher.submit(SAY, Say("bad"), ask())
    assert (await batcher.submit(SAY, Say("good"), ask()))[0] == "good"
    assert batcher.statistics.fail.count == 1
    await batcher.drain()


async def test_statistics() -> None:
    lane = EchoLane(lambda say: ValueError() if say.word == "bad" else None)
    async with running(lane) as batcher:
        tasks = await held_batch(batcher, lane, [Say("a", rows=3), Say("b", rows=2)])
        lane.release()
        await outcomes(tasks)
        await outcomes([start(batcher, Say("bad"))])
        seen = batcher.statistics
        assert (seen.name, seen.version) == ("m", "7")
        assert seen.inferences == 6
        assert seen.executions == 2
        assert {rows: spent.count for rows, spent in seen.batches.items()} == {1: 1, 5: 1}
        assert seen.success.count == seen.queue.count == seen.compute_infer.count == 3
        assert seen.fail.count == 1
        assert seen.success.ns >= seen.compute_infer.ns > 0
        assert seen.last_inference_ms > 0


async def test_labels_are_bounded_and_versions_take_theirs_along() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    seen = metrics.of_batcher("m", "1", "fp32")
    for n in range(10 * TENANTS):
        seen.refused(f"tenant {n}")
    tenants = [
        sample.labels["tenant"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "secondlook_cloud_engine_refused_total"
    ]
    assert len(tenants) == TENANTS + 1
    assert "other" in tenants
    async with running(EchoLane(), registry=(own := CollectorRegistry())) as batcher:
        await batcher.submit(SAY, Say("a"), ask())
        labels = {"model": "m", "version": "7", "variant": "int8"}
        name = "secondlook_cloud_engine_batch_limit_rows"
        assert own.get_sample_value(name, labels) == 8
        batcher.limit = 3
        assert own.get_sample_value(name, labels) == 3
    assert own.get_sample_value(name, labels) is None
    assert own.get_sample_value("secondlook_cloud_engine_batch_rows_count", {"model": "m"}) == 1


def dropped(registry: CollectorRegistry, reason: str) -> float | None:
    labels = {"model": "m", "reason": reason}
    return registry.get_sample_value("secondlook_cloud_engine_dropped_total", labels)


async def test_errors_are_of_the_tree() -> None:
    lane = EchoLane(lambda say: SystemExit())
    async with running(lane) as batcher:
        with pytest.raises(SecondlookError):
            await batcher.submit(SAY, Say("a"), ask())


def test_a_models_own_configuration_goes_over_the_defaults() -> None:
    batching = Batching(preferred=(16, 4, 64), max_queue_delay_s=0.01, max_queue=7)
    config = ModelConfig("m", "onnxruntime", batching=batching)
    policy = Policy.of(config, 32, Policy(max_queue=99, max_per_tenant=5))
    assert policy == Policy(32, 32, 7, 5, preferred=(4, 16), max_queue_delay_s=0.01)


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
async def test_a_caller_that_is_always_heard_at_once_lets_the_loop_go_on(fails: bool) -> None:
    lane = EchoLane(lambda say: ModelFailure("bad") if fails else None)
    instance = Instance({SAY: lane}, here=True)
    batcher = Batcher("m", "1", [instance], WIDE, metrics=EngineMetrics(CollectorRegistry()))
    batcher.start()
    for _ in range(INLINE_AFTER):
        batcher._dispatch.quickness.took(1, 1e-6)
    await until(lambda: len(batcher._dispatch._idle) == 1)
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    for number in range(100):
        with suppress(ModelFailure):
            await batcher.submit(SAY, Say(number), ask())
    assert turns == [1]
    await batcher.drain()
