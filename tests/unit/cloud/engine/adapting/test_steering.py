from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from support.batching import SAY, EchoLane, Say, ask

from secondlook.cloud.engine.adapting.controller import MISSED
from secondlook.cloud.engine.adapting.metrics import AdaptingMetrics
from secondlook.cloud.engine.adapting.steering import Steered, Steering
from secondlook.cloud.engine.batching import Batcher, Instance, Policy
from secondlook.cloud.engine.batching.pace import KEEP
from secondlook.cloud.engine.metrics import EngineMetrics

pytestmark = pytest.mark.anyio


def batcher(variant: str, metrics: EngineMetrics, seconds: float) -> Batcher:
    made = Batcher(
        "m",
        "1",
        [Instance({SAY: EchoLane()})],
        Policy(max_batch=8),
        metrics=metrics,
        variant=variant,
    )
    for _ in range(KEEP):
        made.pace.record(1, seconds)
    return made


async def test_it_steers_real_batchers_and_shows_it() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    # No answer is quicker than this objective, so that it is missed by whatever runs.
    exact, quick = batcher("fp32", metrics, 5e-10), batcher("int8", metrics, 1e-10)
    served = [Steered(exact, 0.0), Steered(quick, 0.01)]
    steering = Steering("m", 1e-9, lambda: served, AdaptingMetrics(registry))
    assert steering.choice is None
    for one in (exact, quick):
        one.start()
    steering.look()
    assert steering.choice is not None
    assert steering.choice.variant == "fp32"
    for _ in range(MISSED):
        await exact.submit(SAY, Say("a"), ask())
        steering.look()
    assert steering.choice.variant == "int8"
    _, ran = await quick.submit(SAY, Say("a"), ask(), reason=steering.choice.reason)
    assert "fp32 took" in ran.reason
    assert exact.limit == quick.limit == steering.choice.limit
    labels = {"model": "m", "version": "1", "variant": "int8"}
    assert registry.get_sample_value("secondlook_cloud_engine_chosen", labels) == 1
    changes = "secondlook_cloud_engine_choice_changes_total"
    assert registry.get_sample_value(changes, {"model": "m"}) == 1
    served.pop()
    steering.look()
    assert steering.choice.variant == "fp32", "what is gone is left at once"
    served.clear()
    steering.look()
    assert steering.choice is None
    steering.close()
    assert registry.get_sample_value("secondlook_cloud_engine_chosen", labels) is None
    for one in (exact, quick):
        await one.drain()


async def test_waits_do_not_pile_up() -> None:
    one = batcher("", EngineMetrics(CollectorRegistry()), 1.0)
    one.start()
    for _ in range(3):
        await one.submit(SAY, Say("a"), ask())
    assert len(one.take_waits()) == 3
    assert one.take_waits() == []
    await one.drain()
