from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.cloud import FakeDetector, picture

from secondlook.cli.bench.prefetch.traces import read_trace
from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.engines import running_engine
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.clock import Deadline, ManualClock, SystemClock

pytestmark = pytest.mark.anyio


async def test_requests_are_recorded_for_the_benchmark(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    settings = CloudSettings.model_validate({"prefetch": {"record": file}})
    clock = SystemClock()
    async with running_engine(
        settings,
        CollectorRegistry(),
        clock,
        load=lambda _: [Loaded(FakeDetector("first")), Loaded(FakeDetector("second"))],
    ) as engine:
        for model in ("second", "", "second"):
            await engine.detect(picture(64, 48), Ask(Deadline.after(30, clock), model))
    requests = read_trace(file).requests
    assert [model for _, model in requests] == ["second", "first", "second"]
    assert [at_s for at_s, _ in requests] == sorted(at_s for at_s, _ in requests)


async def test_a_record_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    settings = CloudSettings.model_validate({"prefetch": {"record": tmp_path}})
    clock = ManualClock()
    async with running_engine(
        settings, CollectorRegistry(), clock, load=lambda _: [Loaded(FakeDetector("first"))]
    ) as engine:
        await engine.detect(picture(64, 48), Ask(Deadline.after(30, clock)))
