from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import NAMES, FakeDetector, picture

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.batching import Overflow, Policy
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.local_static import Loaded, batch_limit
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidConfig, ModelFailure, NotFound, Overloaded

SOON = Deadline(SystemClock().monotonic() + 3600)


def engine_of(*detectors: FakeDetector) -> LocalEngine:
    return LocalEngine(
        [Loaded(detector).opened() for detector in detectors], registry=CollectorRegistry()
    )


@pytest.mark.parametrize(
    ("provider", "model_limit", "asked", "expected"),
    [
        ("CPU", 8, 0, 1),
        ("CPU", 8, 4, 4),
        ("CUDA", 64, 0, 16),
        ("CUDA", 1, 0, 1),
        ("CUDA", 8, 64, 8),
    ],
)
def test_batch_limit(provider: str, model_limit: int, asked: int, expected: int) -> None:
    info = ModelInfo("m", "1", NAMES, 640, 640, "fake", provider, model_limit)
    assert batch_limit(info, asked) == expected


def test_models_must_be_distinct() -> None:
    with pytest.raises(InvalidConfig, match="models"):
        engine_of(FakeDetector("a"), FakeDetector("a"))


@pytest.mark.anyio
async def test_without_any_model_it_says_so() -> None:
    async with engine_of().running() as engine:
        assert engine.detectors() == []
        with pytest.raises(NotFound, match="no model is ready"):
            engine.detector()
        with pytest.raises(NotFound, match="'x'"):
            engine.signature("x")


@pytest.mark.anyio
async def test_a_score_of_zero_means_the_models_own() -> None:
    detector = FakeDetector()
    local = LocalEngine([Loaded(detector, 0.95).opened()], registry=CollectorRegistry())
    async with local.running() as engine:
        found = await engine.detect(picture(9, 9, (1, 1, 5, 5)), Ask(SOON))
    assert len(found.detections) == 0


@pytest.mark.anyio
async def test_drop_oldest_tells_the_one_dropped_and_counts_it() -> None:
    registry = CollectorRegistry()
    detector = FakeDetector()
    local = LocalEngine(
        [Loaded(detector).opened()],
        registry=registry,
        policy=Policy(max_queue=1, overflow=Overflow.DROP_OLDEST),
    )
    async with local.running() as engine:
        detector.hold()

        def ask() -> asyncio.Future[object]:
            return asyncio.ensure_future(engine.detect(picture(9, 9), Ask(SOON), min_score=0.1))

        running = ask()
        await anyio.to_thread.run_sync(detector.wait_entered)
        oldest = ask()
        await anyio.lowlevel.checkpoint()
        newest = ask()
        with pytest.raises(Overloaded):
            await oldest
        detector.release()
        await running
        await newest
        labels = {"model": "fake", "reason": "overloaded"}
        assert registry.get_sample_value("secondlook_cloud_engine_dropped_total", labels) == 1
        waiting = registry.get_sample_value(
            "secondlook_cloud_engine_queue_requests", {"model": "fake"}
        )
        assert waiting == 0


@pytest.mark.anyio
async def test_a_model_that_answers_too_few_images_has_failed() -> None:
    class Short(FakeDetector):
        def detect(self, images, min_score=0.05):
            return super().detect(images, min_score)[:-1]

    async with engine_of(Short()).running() as engine:
        with pytest.raises(ModelFailure, match="0 of 1"):
            await engine.detect(picture(9, 9), Ask(SOON), min_score=0.1)
