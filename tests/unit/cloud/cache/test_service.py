"""The verdict cache in the whole service."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import (
    FakeDetector,
    channel_to,
    escalation_stub,
    one_region,
    picture,
    settings,
    whole_frame,
)
from support.engines_fake import followed
from support.waiting import until

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.shared.values import Purpose, Region
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytestmark = pytest.mark.anyio

FRAME = picture(640, 480, (100, 100, 200, 200))


async def test_a_retry_a_hedge_and_an_audit_are_answered_from_memory() -> None:
    detector, registry = FakeDetector(), CollectorRegistry()
    async with (
        running_cloud(
            settings(cache={"enabled": True}), registry, load=lambda _: [Loaded(detector)]
        ) as cloud,
        channel_to(cloud.port) as channel,
    ):
        stub = escalation_stub(channel)
        boxes: list[object] = []

        async def ask(request_id: str, purpose: Purpose = Purpose.UNSURE) -> None:
            asked = whole_frame(FRAME, request_id, purpose=purpose)
            reply = await stub.Escalate(request_to_proto(asked), timeout=30)
            verdict = verdict_from_proto(reply, asked)
            assert (verdict.request_id, verdict.purpose) == (request_id, purpose)
            boxes.append(verdict.detections.boxes.tolist())

        detector.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "first")
            await anyio.to_thread.run_sync(detector.wait_entered)
            tasks.start_soon(ask, "hedge")
            await until(lambda: followed(cloud.engine))
            detector.release()
        await ask("retry")
        await ask("audit", Purpose.AUDIT)
        assert boxes == [[[100, 100, 200, 200]]] * 4
        assert len(detector.batches) == 1
        (statistics,) = cloud.engine.statistics("fake")
        assert statistics.cache_hit.count == 2
        assert statistics.cache_miss.count == 1

    def looked(outcome: str) -> float | None:
        labels = {"model": "fake", "version": "1", "outcome": outcome}
        return registry.get_sample_value("secondlook_cloud_cache_lookups_total", labels)

    assert [looked(outcome) for outcome in ("miss", "shared", "hit")] == [1, 1, 2]


async def test_a_region_is_the_same_question_only_on_the_same_background() -> None:
    detector = FakeDetector()
    region = one_region(FRAME, Region(64, 64, 200, 200), "region")
    async with (
        running_cloud(
            settings(cache={"enabled": True}), load=lambda _: [Loaded(detector)]
        ) as cloud,
        channel_to(cloud.port) as channel,
    ):
        stub = escalation_stub(channel)

        async def ask(asked: object) -> None:
            await stub.Escalate(request_to_proto(asked), timeout=30)  # type: ignore[arg-type]

        await ask(region)
        await ask(region)
        assert len(detector.batches) == 1
        await ask(whole_frame(picture(640, 480, level=90), "dawn", captured_at=1.0))
        await ask(region)
        assert len(detector.batches) == 3
