"""A node of a Ray cluster is killed under load: every request is answered, and none wrongly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, numbers, offer, snapshot
from support.ray_cluster import gone
from support.ray_models import open_slow
from support.waiting import until

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.ray import RayEngine, RaySettings
from secondlook.cloud.engine.ray.libraries import KEEPER, NAMESPACE
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
BEFORE = 5
AFTER = 10
CLOCK = SystemClock()


@pytest.fixture
def cluster() -> Iterator[tuple[Any, Any]]:
    """A cluster, and the second of its nodes."""
    from support.ray_cluster import another_node, shared_cluster

    shared = shared_cluster()
    with another_node(shared) as node:
        yield shared, node


def engine_of(model: str, **settings: Any) -> RayEngine:
    return RayEngine(
        RaySettings(**settings),
        open_release=open_slow,
        registry=CollectorRegistry(),
        source=Bench(),
        default=model,
    )


async def test_a_node_killed_under_load_costs_no_answer(
    cluster: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    made, node = cluster
    # There is room for one on each node.
    engine = engine_of("slow", address=made.address, cpus=0.6, min_replicas=2, max_replicas=2)
    answered = 0
    wrong: list[float] = []
    killed = asyncio.Event()
    warm = asyncio.Event()

    async def caller(number: int) -> None:
        nonlocal answered
        rounds = 0
        while rounds < AFTER:
            value = 1000.0 * number + rounds
            ask = Ask(Deadline.after(60.0, CLOCK), "slow")
            got = await engine.infer(numbers(value), ask)
            if got.outputs["y"].tolist() != [[value + 1000, value + 1000]]:
                wrong.append(value)
            answered += 1
            if answered >= CALLERS * BEFORE:
                warm.set()
            rounds += killed.is_set()

    async with engine.running():
        await engine.update(snapshot(offer("slow", 1)))
        # One node's death shall find work there.
        await _replicas_up("slow", 2)
        async with anyio.create_task_group() as callers:
            for number in range(CALLERS):
                callers.start_soon(caller, number)
            await warm.wait()
            await anyio.to_thread.run_sync(lambda: made.remove_node(node, allow_graceful=False))
            killed.set()
        (counted,) = engine.statistics("slow")
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
        gone = asyncio.ensure_future(engine.infer(numbers(1), _soon("slow")))
        stays = asyncio.ensure_future(engine.infer(numbers(2), _soon("slow")))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(DeadlineExceeded):
            await engine.infer(numbers(3), Ask(Deadline.after(0.005, CLOCK), "slow"))
        assert (await stays).outputs["y"][0, 0] == 1002
    with pytest.raises(Unavailable):
        await engine.infer(numbers(4), _soon("slow"))


async def test_more_requests_bring_more_replicas(cluster: tuple[Any, Any]) -> None:
    address = cluster[0].address
    engine = engine_of(
        "grow", address=address, cpus=0.3, max_replicas=3, target_in_flight=2, scale_up_s=0.5
    )

    async def caller() -> None:
        while True:
            assert (await engine.infer(numbers(1), _soon("grow"))).outputs["y"][0, 0] == 1001

    async with engine.running():
        await engine.update(snapshot(offer("grow", 1)))
        assert await anyio.to_thread.run_sync(_replicas, "grow") == 1
        async with anyio.create_task_group() as callers:
            for _ in range(12):
                callers.start_soon(caller)
            await _replicas_up("grow", 3)
            callers.cancel_scope.cancel()


async def test_what_was_taken_away_comes_back(
    cluster: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    engine = engine_of("back", address=cluster[0].address, cpus=0.3, lease_s=2)
    async with engine.running():
        await engine.update(snapshot(offer("back", 1)))
        assert (await engine.infer(numbers(1), _soon("back"))).outputs["y"][0, 0] == 1001
        deployer, back = engine._deployer, threading.Event()
        restore = deployer.restore

        def restore_and_tell(holder: str) -> None:
            restore(holder)
            back.set()

        monkeypatch.setattr(deployer, "restore", restore_and_tell)
        ((holder, held),) = deployer._held.items()
        # As if this process had not been heard for the time of a lease.
        keeper = ray.get_actor(KEEPER, NAMESPACE)
        await anyio.to_thread.run_sync(ray.get, keeper.release.remote(held.application, holder))
        with anyio.fail_after(120):
            await until(back.is_set)
        assert (await engine.infer(numbers(2), _soon("back"))).outputs["y"][0, 0] == 1002
    await gone("-back-")


def _soon(model: str) -> Ask:
    return Ask(Deadline.after(30.0, CLOCK), model)


def _lanes(engine: RayEngine) -> list[Any]:
    return list(engine._lineups.ready("slow").main.variants.values())


def _replicas(model: str) -> int:
    from ray import serve

    (application,) = (
        one for name, one in serve.status().applications.items() if f"-{model}-" in name
    )
    running: int = application.deployments["model"].replica_states.get("RUNNING", 0)
    return running


async def _replicas_up(model: str, count: int) -> None:
    with anyio.fail_after(120):
        while await anyio.to_thread.run_sync(_replicas, model) < count:  # noqa: ASYNC110 - Ray tells no event
            await anyio.sleep(0.1)
