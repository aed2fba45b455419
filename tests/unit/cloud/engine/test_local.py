from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import NAMES, FakeDetector, picture

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.local import Loaded, LocalEngine, batch_limit
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.queue import Overflow
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidConfig, ModelFailure, Overloaded

SOON = Deadline(SystemClock().monotonic() + 3600)


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


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_models_must_be_there_and_distinct(names: list[str]) -> None:
    with pytest.raises(InvalidConfig, match="models"):
        LocalEngine(
            [Loaded(FakeDetector(name)) for name in names],
            metrics=EngineMetrics(CollectorRegistry()),
        )


@pytest.mark.anyio
async def test_a_score_of_zero_means_the_models_own() -> None:
    detector = FakeDetector()
    engine = LocalEngine(
        [Loaded(detector, min_score=0.95)], metrics=EngineMetrics(CollectorRegistry())
    )
    engine.start()
    found = await engine.detect(picture(9, 9, (1, 1, 5, 5)), Ask(SOON))
    assert len(found.detections) == 0
    await engine.drain()


@pytest.mark.anyio
async def test_drop_oldest_tells_the_one_dropped_and_counts_it() -> None:
    registry = CollectorRegistry()
    detector = FakeDetector()
    engine = LocalEngine(
        [Loaded(detector)],
        metrics=EngineMetrics(registry),
        max_queue=1,
        overflow=Overflow.DROP_OLDEST,
    )
    engine.start()
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
    assert (
        registry.get_sample_value("secondlook_cloud_engine_queue_requests", {"model": "fake"}) == 0
    )
    await engine.drain()


@pytest.mark.anyio
async def test_a_model_that_answers_too_few_images_has_failed() -> None:
    class Short(FakeDetector):
        def detect(self, images, min_score=0.05):
            return super().detect(images, min_score)[:-1]

    engine = LocalEngine([Loaded(Short())], metrics=EngineMetrics(CollectorRegistry()))
    engine.start()
    with pytest.raises(ModelFailure, match="0 of 1"):
        await engine.detect(picture(9, 9), Ask(SOON), min_score=0.1)
    await engine.drain()
