from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.engines_fake import FakeEngine, blue
from support.waiting import eventually

from secondlook.cloud.cache import CachedEngine, CacheMetrics, VerdictCache
from secondlook.cloud.engine.asking import Ask, Detected, Priority
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    ModelFailure,
    NotFound,
    Overloaded,
    SecondlookError,
)

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def ask(after_s: float = 3600.0, **fields: Any) -> Ask:
    return Ask(Deadline.after(after_s, CLOCK), **fields)


class Cached:
    """A cache before a fake engine."""

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.fake = FakeEngine()
        self.registry = CollectorRegistry()
        self.cache = VerdictCache(max_bytes, CacheMetrics(self.registry))
        self.engine = CachedEngine(self.fake, self.cache)

    async def width(self, level: int, **fields: Any) -> float:
        """The width of the box of a question."""
        found = await self.engine.detect(blue(level), ask(**fields))
        return float(found.detections.boxes[0, 2])

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"secondlook_cloud_cache_{name}", labels) or 0.0

    def looked(self, outcome: str, version: str = "1") -> float:
        return self.count("lookups_total", model="m", version=version, outcome=outcome)


@pytest.fixture
def one() -> Any:
    cached = Cached()
    yield cached
    cached.engine.close()


class Caller:
    """One question in a task of its own, and what became of it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.detected: Detected | None = None
        self.error: SecondlookError | None = None
        self.over = anyio.Event()

    async def call(self, question: Callable[[], Awaitable[Detected]]) -> None:
        with self.scope:
            try:
                self.detected = await question()
            except SecondlookError as error:
                self.error = error
        self.over.set()


class Crowd:
    """Callers of the same question."""

    def __init__(self, one: Cached, tasks: anyio.abc.TaskGroup) -> None:
        self.one = one
        self.tasks = tasks
        one.fake.hold = anyio.Event()

    async def ask(self, level: int = 7, side: int = 8, **fields: Any) -> Caller:
        """One more; returns when it has gone as far as it goes."""
        caller = Caller()
        asked = ask(**fields)
        self.tasks.start_soon(caller.call, lambda: self.one.engine.detect(blue(level, side), asked))
        await anyio.wait_all_tasks_blocked()
        return caller

    async def release(self) -> None:
        assert self.one.fake.hold is not None
        self.one.fake.hold.set()
        await anyio.wait_all_tasks_blocked()


async def test_the_same_question_is_asked_once(one: Cached) -> None:
    first = await one.engine.detect(blue(7), ask())
    again = await one.engine.detect(blue(7), ask())
    assert len(one.fake.asked) == 1
    assert again.detections is first.detections
    assert (again.ran.model, again.ran.version) == ("m", "1")
    assert (again.ran.queue_s, again.ran.infer_s) == (0.0, 0.0)
    assert again.ran.reason == "verdict cache"
    assert (one.looked("hit"), one.looked("miss")) == (1, 1)
    labels = {"model": "m", "version": "1"}
    assert one.count("saved_bytes_total", **labels) == 8 * 8 * 3
    assert one.count("saved_seconds_total", **labels) == pytest.approx(0.1), "of a batch of two"
    assert one.count("entries") == 1
    assert one.count("bytes") > 1000


@pytest.mark.parametrize("place", [(0, 0, 0), (3, 4, 1), (7, 7, 2)])
async def test_one_bit_of_one_pixel_is_another_question(
    one: Cached, place: tuple[int, int, int]
) -> None:
    image = blue(7)
    await one.engine.detect(image, ask())
    other = image.copy()
    other[place] ^= 1
    await one.engine.detect(other, ask())
    assert len(one.fake.asked) == 2


async def test_size_score_and_layout_in_memory(one: Cached) -> None:
    image = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    await one.engine.detect(image, ask())
    await one.engine.detect(image.reshape(6, 8, 3), ask())
    await one.engine.detect(image, ask(), min_score=0.5)
    assert len(one.fake.asked) == 3
    wide = np.zeros((8, 12, 3), np.uint8)
    wide[:, 3:9] = image
    await one.engine.detect(wide[:, 3:9], ask())
    assert len(one.fake.asked) == 3, "the same pixels, cut from another picture"


async def test_large_pictures_are_the_same_question_too(one: Cached) -> None:
    for _ in range(2):
        await one.engine.detect(blue(7, side=200), ask())
    assert len(one.fake.asked) == 1
    one.engine.close()
    await one.engine.detect(blue(7, side=200), ask())
    assert len(one.fake.asked) == 1


async def test_an_audit_is_the_same_measurement_on_the_same_pixels(one: Cached) -> None:
    escalated = await one.engine.detect(blue(7), ask(camera="a"))
    audited = await one.engine.detect(blue(7), ask(camera="a", priority=Priority.AUDIT))
    assert audited.detections is escalated.detections
    await one.engine.detect(blue(8), ask(camera="a", priority=Priority.AUDIT))
    assert len(one.fake.asked) == 2


async def test_versions_have_answers_of_their_own(one: Cached) -> None:
    await one.width(7)
    one.fake.version = "2"
    await one.width(7)
    await one.width(7, version="1")
    await one.width(7, version="2")
    assert len(one.fake.asked) == 2
    with pytest.raises(NotFound):
        await one.width(7, model="other")


async def test_the_ask_goes_on_as_it_came(one: Cached) -> None:
    asked = ask(camera="gate", tenant="t")
    await one.engine.detect(blue(7), asked)
    assert one.fake.asked == [asked]


async def test_what_a_version_said_is_forgotten_with_it(one: Cached) -> None:
    await one.width(7)
    one.cache.forget("m", "2")
    await one.width(7)
    assert len(one.fake.asked) == 1
    one.cache.forget("m", "1")
    await one.width(7)
    assert len(one.fake.asked) == 2
    one.cache.forget("m")
    await one.width(7)
    assert len(one.fake.asked) == 3
    assert one.count("forgotten_total", reason="version") == 2


async def test_an_answer_from_before_a_change_is_not_kept(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        caller = await crowd.ask()
        one.cache.forget("m", "1")
        await crowd.release()
        assert caller.detected is not None
    await one.width(7)
    assert len(one.fake.asked) == 2


async def test_a_coarser_variant_does_not_answer_for_a_finer_one(one: Cached) -> None:
    one.fake.variant = "int8"
    await one.width(7)
    await one.width(7)
    assert len(one.fake.asked) == 1
    one.fake.variant = "fp32"
    await one.width(8)
    await one.width(7)
    assert len(one.fake.asked) == 3
    one.fake.variant = "int8"
    await one.width(9)
    await one.width(7)
    assert len(one.fake.asked) == 4, "the finer answer is good enough"


async def test_what_is_asked_at_the_same_time_is_asked_once(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        callers = [await crowd.ask() for _ in range(5)]
        other = await crowd.ask(level=9)
        assert len(one.fake.asked) == 2
        await crowd.release()
        assert other.detected is not None
        assert other.detected.detections.boxes[0, 2] == 9
        assert all(caller.detected is not None for caller in callers)
        assert {float(c.detected.detections.boxes[0, 2]) for c in callers if c.detected} == {7.0}
    assert (one.looked("miss"), one.looked("shared")) == (2, 4)


async def test_the_leaders_cancellation_hurts_nobody(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        leader, second, third = [await crowd.ask() for _ in range(3)]
        leader.scope.cancel()
        await leader.over.wait()
        await anyio.wait_all_tasks_blocked()
        assert len(one.fake.asked) == 2, "the next one asks"
        await crowd.release()
        assert second.detected is not None
        assert third.detected is not None
    assert leader.detected is None
    assert not one.cache.flights


async def test_a_followers_cancellation_hurts_nobody(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        leader, second, third = [await crowd.ask() for _ in range(3)]
        second.scope.cancel()
        await second.over.wait()
        await crowd.release()
        assert leader.detected is not None
        assert third.detected is not None
    assert len(one.fake.asked) == 1


@pytest.mark.parametrize("error", [Overloaded("full"), DeadlineExceeded("late")])
async def test_what_is_the_leaders_alone_hurts_nobody(one: Cached, error: Exception) -> None:
    one.fake.fail = lambda asked: error if asked.camera == "first" else None
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        leader = await crowd.ask(camera="first")
        follower = await crowd.ask(camera="second")
        await crowd.release()
        assert leader.error is error
        assert follower.detected is not None


async def test_a_failure_of_the_model_is_shared_and_not_kept(one: Cached) -> None:
    one.fake.fail = lambda _: ModelFailure("nan")
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        callers = [await crowd.ask() for _ in range(3)]
        await crowd.release()
        assert [str(caller.error) for caller in callers] == ["nan"] * 3
        assert len({id(caller.error) for caller in callers}) == 3
    assert len(one.fake.asked) == 1
    one.fake.fail = lambda _: None
    assert await one.width(7) == 7
    assert len(one.fake.asked) == 2


async def test_a_follower_waits_no_longer_than_its_own_deadline(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        leader = await crowd.ask(after_s=0.0)  # a fake engine does not look at it
        follower = await crowd.ask(after_s=0.01)
        with anyio.fail_after(10):
            await follower.over.wait()
        assert isinstance(follower.error, DeadlineExceeded)
        await crowd.release()
        assert leader.detected is not None


async def test_nobody_waits_behind_a_question_less_urgent(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        await crowd.ask(priority=Priority.AUDIT)
        await crowd.ask(priority=Priority.ESCALATION, after_s=7200)
        assert len(one.fake.asked) == 2
        await crowd.ask(priority=Priority.ESCALATION, after_s=60)
        assert len(one.fake.asked) == 3
        await crowd.ask(priority=Priority.LEARNING)
        await crowd.ask(priority=Priority.ESCALATION, after_s=120)
        await crowd.ask(priority=Priority.ESCALATION, after_s=58)
        assert len(one.fake.asked) == 3, "a hedge is about as urgent"
        await crowd.release()
    assert not one.cache.flights


async def test_an_answer_of_another_version_does_not_serve_who_asked_for_one(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        leader = await crowd.ask()
        follower = await crowd.ask(version="1")
        one.fake.version = "2"
        await crowd.release()
        assert leader.detected is not None
        assert leader.detected.ran.version == "2"
        assert follower.detected is not None
        assert follower.detected.ran.version == "1"


async def test_room_is_bounded_and_the_least_recent_goes_first() -> None:
    one = Cached(max_bytes=5_500)  # five answers
    for level in range(5):
        await one.width(level)
    await one.width(0)
    assert len(one.fake.asked) == 5
    await one.width(5)
    await one.width(0)
    assert len(one.fake.asked) == 6
    await one.width(1)
    assert len(one.fake.asked) == 7
    assert one.cache.shelves.bytes <= 5_500
    assert one.count("forgotten_total", reason="room") == 2
    one.engine.close()


async def test_without_room_questions_in_progress_are_shared_still() -> None:
    one = Cached(max_bytes=0)
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        for _ in range(3):
            await crowd.ask()
        assert len(one.fake.asked) == 1
        await crowd.release()
    await one.width(7)
    assert len(one.fake.asked) == 2
    one.engine.close()


async def test_all_else_is_the_engines(one: Cached) -> None:
    await one.width(7)
    await one.width(7)
    (statistics,) = one.engine.statistics()
    assert (statistics.cache_hit.count, statistics.cache_miss.count) == (1, 1)
    assert statistics.cache_hit.ns > 0
    one.cache.forget("m", "1")
    (statistics,) = one.engine.statistics("m", "1")
    assert statistics.cache_hit.count == 0
    assert one.engine.detectors() == one.fake.detectors()
    assert one.engine.detector("m", "2").version == "2"
    assert one.engine.signature("m").max_batch == 4
    assert [entry.name for entry in one.engine.index()] == ["m"]
    assert one.engine.config("m").name == "m"
    assert (await one.engine.infer({}, ask())).ran.model == "m"
    await one.engine.prepare(ask())
    with pytest.raises(NotFound):
        await one.engine.prepare(ask(model="other"))
    await one.engine.load("m")
    assert one.fake.loads == ["m"]
    await one.engine.unload("m")
    assert one.fake.loads == []
    await one.engine.drain()
    assert one.fake.drained


async def test_while_one_is_held_others_are_served(one: Cached) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(one, tasks)
        caller = await crowd.ask(side=200)
        await eventually(lambda: len(one.fake.asked) == 1)
        await crowd.release()
        await caller.over.wait()
        assert caller.detected is not None
