from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.engines_fake import FakeEngine, blue

from secondlook.cloud.cache import (
    CachedEngine,
    CacheMetrics,
    VerdictCache,
    Warmth,
    content_of,
    kept_warm,
)
from secondlook.cloud.cache.records import (
    MAX_KEPT,
    MAX_RECORD_CHARS,
    KeptVerdict,
    KeptVerdicts,
    chosen,
    part_of,
    record_id,
)
from secondlook.cloud.cache.shelves import Kept
from secondlook.cloud.engine.asking import Ask, Detected, Ran
from secondlook.shared.clock import Deadline
from secondlook.shared.errors import InvalidInput, NotFound, StoreError
from secondlook.shared.memory import ContextStore, open_store
from secondlook.shared.memory.record import encode
from secondlook.shared.values import Detections

pytestmark = pytest.mark.anyio

SHELF = ("m", "1")
NAMES = ("person", "car")
PLACE = record_id(SHELF, part_of(content_of(blue(7), 0.0)))
"""Where the question that most tests ask is written."""


@asynccontextmanager
async def memory() -> AsyncIterator[ContextStore]:
    store = await open_store("sqlite:///:memory:")
    try:
        yield store
    finally:
        await store.close()


class Service:
    """A start of the service, over a store that outlives it."""

    def __init__(self, store: ContextStore) -> None:
        self.fake = FakeEngine()
        self.registry = CollectorRegistry()
        metrics = CacheMetrics(self.registry)
        self.cache = VerdictCache(1_000_000, metrics)
        self.engine = CachedEngine(self.fake, self.cache)
        self.warmth = Warmth(self.engine, store, metrics, lambda: 1_700_000_000.0)

    async def ask(self, level: int, times: int = 1) -> Detected:
        for _ in range(times):
            found = await self.engine.detect(blue(level), Ask(Deadline(1e12)))
        return found

    def count(self, name: str) -> float:
        return self.registry.get_sample_value(f"secondlook_cloud_cache_{name}_total") or 0.0


async def test_what_was_asked_again_is_known_after_a_restart() -> None:
    async with memory() as store:
        before = Service(store)
        first = await before.ask(7, times=3)
        await before.ask(8, times=2)
        await before.ask(9)
        assert await before.warmth.save() == 2
        after = Service(store)
        assert await after.warmth.warm_up() == 2
        again = await after.ask(7)
        await after.ask(8)
        assert after.fake.asked == []
        for part in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(
                getattr(again.detections, part), getattr(first.detections, part)
            )
        assert again.detections.names == first.detections.names
        await after.ask(9)
        assert len(after.fake.asked) == 1, "it was asked once only"
        assert after.count("warmed") == 2


async def test_nothing_is_written_that_is_not_new() -> None:
    async with memory() as store:
        one = Service(store)
        await one.ask(7)
        assert await one.warmth.save() == 0
        await one.ask(7)
        assert await one.warmth.save() == 1
        assert await one.warmth.save() == 0
        after = Service(store)
        await after.warmth.warm_up()
        assert await after.warmth.save() == 0


@pytest.mark.parametrize("change", ["file", "names", "unknown"])
async def test_another_file_of_the_same_name_begins_anew(change: str) -> None:
    async with memory() as store:
        before = Service(store)
        await before.ask(7, times=2)
        await before.warmth.save()
        after = Service(store)
        if change == "file":
            after.fake.fingerprints["1"] = "other"
        elif change == "names":
            after.fake.names = ("person", "lorry")
        else:
            after.fake.fingerprints.clear()
        assert await after.warmth.warm_up() == 0
        await after.ask(7, times=2)
        assert await after.warmth.save() == (0 if change == "unknown" else 1)


async def test_replicas_add_to_one_record() -> None:
    parts = {level: part_of(content_of(blue(level), 0.0)) for level in range(8, 99)}
    other = next(level for level, part in parts.items() if PLACE.endswith(f":{part}"))
    async with memory() as store:
        one, two = Service(store), Service(store)
        await one.ask(7, times=5)
        await two.ask(other, times=5)
        await one.warmth.save()
        await two.warmth.save()
        after = Service(store)
        assert await after.warmth.warm_up() == 2


class Contested:
    """A store in which somebody else is always a little faster."""

    def __init__(self, store: ContextStore, times: int) -> None:
        self.store = store
        self.times = times
        self.load = store.load

    async def save(self, record_id: str, data: Any, expected: int, **fields: Any) -> Any:
        if self.times:
            self.times -= 1
            await self.store.save(record_id, data, expected, **fields)
        return await self.store.save(record_id, data, expected, **fields)


@pytest.mark.parametrize(("times", "written"), [(0, 1), (2, 1), (3, 0)])
async def test_a_record_that_others_write_is_tried_again(times: int, written: int) -> None:
    async with memory() as store:
        one = Service(store)
        await one.ask(7, times=2)
        contested = Contested(store, times)
        one.warmth = Warmth(one.engine, contested, CacheMetrics(CollectorRegistry()), lambda: 0.0)  # type: ignore[arg-type]
        assert await one.warmth.save() == written


class Broken:
    """A store that fails."""

    async def load(self, record_id: str) -> Any:
        raise StoreError("as the test wants")


async def test_a_store_that_fails_hurts_nobody() -> None:
    one = Service(Broken())  # type: ignore[arg-type]
    assert await one.warmth.warm_up() == 0
    await one.ask(7, times=2)
    assert await one.warmth.save() == 0
    assert one.count("memory_failures") == 2


@pytest.mark.parametrize("rows", ["!", "AAAA", "", "/" * 32])
async def test_a_record_that_is_nonsense_is_passed_over(rows: str) -> None:
    async with memory() as store:
        one = Service(store)
        await one.ask(7, times=2)
        await one.warmth.save()
        record = await store.load(PLACE)
        data: Any = {**record.data}
        data["verdicts"] = [{**data["verdicts"][0], "rows": rows}]
        await store.save(record.id, data, record.version, writer="x")
        after = Service(store)
        # No rows at all are no boxes, and that is an answer.
        assert await after.warmth.warm_up() == (0 if rows else 1)
        assert after.count("memory_failures") == (1 if rows else 0)
        await store.save(record.id, {"schema": 1}, record.version + 1, writer="x")
        assert await after.warmth.warm_up() == 0
        await after.ask(7, times=3)
        assert await after.warmth.save() == 1, "it is written anew"


async def fails_inside(one: Service) -> None:
    async with kept_warm(one.warmth, 3600.0):
        await one.ask(7, times=2)
        raise InvalidInput("as it is")


async def test_the_block_warms_saves_and_goes_on_as_it_was() -> None:
    async with memory() as store:
        one = Service(store)
        with pytest.raises(InvalidInput, match="as it is"):
            await fails_inside(one)
        after = Service(store)
        async with kept_warm(after.warmth, 0.001):
            await after.ask(7, times=2)
            assert after.fake.asked == []
            version = (await store.load(PLACE)).version

            async def written() -> None:
                while (await store.load(PLACE)).version == version:  # noqa: ASYNC110 - the store has no event
                    await anyio.sleep(0.005)

            with anyio.fail_after(10):
                await written()


def kept(boxes: int, hits: int) -> Kept:
    found = Detections.of([[0, 0, 1, 1]] * boxes, [0.5] * boxes, [1] * boxes, NAMES)
    return Kept(Detected(found, Ran(*SHELF)), 100, hits)


def test_a_record_never_grows_over_its_limits() -> None:
    for boxes, most in ((0, MAX_KEPT), (10, 90), (300, 4), (301, 0)):
        ours = [(number.to_bytes(32, "big"), kept(boxes, 1 + number)) for number in range(400)]
        verdicts = chosen(ours)
        assert len(verdicts) <= (MAX_KEPT if boxes <= 300 else 0)
        assert len(verdicts) >= most
        record = KeptVerdicts(fingerprint="f", verdicts=verdicts, at_s=0.0)
        assert len(encode(record.document())) < 64 * 1024
        assert sum(len(verdict.rows) for verdict in verdicts) <= MAX_RECORD_CHARS
        hits = [verdict.hits for verdict in verdicts]
        assert hits == sorted(hits, reverse=True)


def test_what_others_wrote_fades() -> None:
    standing = chosen([(bytes(32), kept(1, 5))])
    rounds = 0
    while standing:
        standing = chosen([], standing)
        rounds += 1
    assert rounds == 3


def test_answers_are_written_to_the_bit() -> None:
    numbers = np.random.default_rng(1).random((40, 5), np.float32)
    boxes = np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:4]], axis=1)
    found = Detections.of(boxes, numbers[:, 4], [1] * 40, NAMES)
    written = KeptVerdict.from_kept(bytes(32), Kept(Detected(found, Ran(*SHELF, "fp16")), 5, 2))
    read = written.kept(SHELF, NAMES)
    np.testing.assert_array_equal(read.detected.detections.boxes, found.boxes)
    np.testing.assert_array_equal(read.detected.detections.scores, found.scores)
    assert read.detected.ran.variant == "fp16"
    assert (read.image_bytes, read.hits) == (5, 2)


def test_ids_of_records_hold_any_version() -> None:
    assert record_id(("m", "sha256:ab/cd"), 3) == (
        "_cloud/engine/verdict-cache/m@sha256%3Aab%2Fcd:3"
    )


async def test_a_version_without_record_is_cold() -> None:
    async with memory() as store:
        with pytest.raises(NotFound):
            await store.load(PLACE)
        assert await Service(store).warmth.warm_up() == 0
