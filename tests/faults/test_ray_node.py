"""A node of a Ray cluster is killed under load: every request is answered, and none wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, numbers, offer, snapshot
from support.ray_models import open_slow

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.ray import RayEngine, RaySettings
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import DeadlineExceeded, Unavailable

pytest.importorskip("ray")

# Ray leaves sockets and files to the collector.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),
]

CALLERS = 12
BEFORE = 10
AFTER = 25
CLOCK = SystemClock()


@pytest.fixture
def cluster() -> Iterator[tuple[Any, list[Any]]]:
    from support.ray_cluster import ray_cluster

    # No replica fits beside the head, and one on each of the others.
    with ray_cluster(0, 1, 1) as made:
        yield made


async def test_a_node_killed_under_load_costs_no_answer(
    cluster: tuple[Any, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    made, nodes = cluster
    settings = RaySettings(address=made.address, cpus=0.6, min_replicas=2, max_replicas=2)
    engine = RayEngine(
        settings,
        open_release=open_slow,
        registry=CollectorRegistry(),
        source=Bench(),
        default="first",
    )
    answered = 0
    wrong: list[float] = []
    killed = asyncio.Event()
    warm = asyncio.Event()

    async def caller(number: int) -> None:
        nonlocal answered
        rounds = 0
        while rounds < AFTER:
            value = 1000.0 * number + rounds
            ask = Ask(Deadline.after(60.0, CLOCK), "first")
            got = await engine.infer(numbers(value), ask)
            if got.outputs["y"].tolist() != [[value + 1000, value + 1000]]:
                wrong.append(value)
            answered += 1
            if answered >= CALLERS * BEFORE:
                warm.set()
            rounds += killed.is_set()

    async with engine.running():
        await engine.update(snapshot(offer("first", 1)))
        # One node's death shall find work there.
        await _replicas_up(2)
        async with anyio.create_task_group() as callers:
            for number in range(CALLERS):
                callers.start_soon(caller, number)
            await warm.wait()
            await anyio.to_thread.run_sync(lambda: made.remove_node(nodes[0], allow_graceful=False))
            killed.set()
        (counted,) = engine.statistics("first")
        retried = sum(lane.batcher.retried for lane in _lanes(engine))
        with capsys.disabled():
            print(  # noqa: T201 - what happened is to be read
                f"\n{answered} answered, {counted.fail.count} failed, {retried} asked again"
            )
        assert wrong == []
        assert counted.success.count == answered
        assert counted.fail.count == 0
        assert retried > 0

        # Who goes away, or has no time, hurts nobody.
        gone = asyncio.ensure_future(engine.infer(numbers(1), _soon()))
        stays = asyncio.ensure_future(engine.infer(numbers(2), _soon()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(DeadlineExceeded):
            await engine.infer(numbers(3), Ask(Deadline.after(0.005, CLOCK), "first"))
        assert (await stays).outputs["y"][0, 0] == 1002
    with pytest.raises(Unavailable):
        await engine.infer(numbers(4), _soon())


async def test_more_requests_bring_more_replicas(cluster: tuple[Any, list[Any]]) -> None:
    settings = RaySettings(
        address=cluster[0].address,
        cpus=0.3,
        max_replicas=3,
        target_in_flight=2,
        scale_up_s=0.5,
    )
    engine = RayEngine(
        settings,
        open_release=open_slow,
        registry=CollectorRegistry(),
        source=Bench(),
        default="first",
    )

    async def caller() -> None:
        while True:
            assert (await engine.infer(numbers(1), _soon())).outputs["y"][0, 0] == 1001

    async with engine.running():
        await engine.update(snapshot(offer("first", 1)))
        assert await anyio.to_thread.run_sync(_replicas) == 1
        async with anyio.create_task_group() as callers:
            for _ in range(12):
                callers.start_soon(caller)
            await _replicas_up(3)
            callers.cancel_scope.cancel()


def _soon() -> Ask:
    return Ask(Deadline.after(30.0, CLOCK), "first")


def _lanes(engine: RayEngine) -> list[Any]:
    return list(engine._lineups.ready("first").main.lanes.values())


def _replicas() -> int:
    from ray import serve

    (application,) = serve.status().applications.values()
    running: int = application.deployments["model"].replica_states.get("RUNNING", 0)
    return running


async def _replicas_up(count: int) -> None:
    with anyio.fail_after(120):
        while await anyio.to_thread.run_sync(_replicas) < count:  # noqa: ASYNC110 - Ray tells no event
            await anyio.sleep(0.1)
