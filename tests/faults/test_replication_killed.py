"""Edges that are killed with -9 in the middle of synchronising, over a network that breaks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.cloud import fake_cloud
from support.proxy import Direction, FaultProxy, fault_proxy
from support.replica_edge import edge_process

RECORDS = 8
KILLS = 4


async def one_life(given: dict[str, Any], changes: int, acknowledged: set[tuple[str, str]]) -> None:
    """Run an edge until it has made so many changes; then kill it, whatever it is doing."""
    with edge_process(task="churn", changes=10_000, records=RECORDS, **given) as edge:
        made = 0
        while made < changes:
            said = await edge.said()
            assert said, "it ended by itself"
            if "member" in said:
                acknowledged.add((said["id"], said["member"]))
                made += 1


async def disturb(proxy: FaultProxy, draw: random.Random) -> None:
    """Break connections at random places, for ever."""
    while True:
        await anyio.sleep(draw.uniform(0.05, 0.3))
        harm = draw.choice(["cut", "up", "down", "refuse"])
        if harm == "cut":
            await proxy.cut()
        elif harm == "refuse":
            proxy.refuse()
            await anyio.sleep(draw.uniform(0, 0.3))
            proxy.accept()
        else:
            where = Direction.UP if harm == "up" else Direction.DOWN
            proxy.cut_after(where, draw.randrange(1, 5000))


@pytest.mark.anyio
async def test_killed_edges_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    draw = random.Random(7)
    acknowledged: set[tuple[str, str]] = set()
    stands = []
    async with fake_cloud() as (cloud, _), fault_proxy(cloud.port) as proxy:
        edges = [
            {
                "name": name,
                "path": str(tmp_path / f"{name}.db"),
                "url": f"grpc://{proxy.target}",
            }
            for name in ("one", "two")
        ]
        async with anyio.create_task_group() as network:
            network.start_soon(disturb, proxy, draw)
            async with anyio.create_task_group() as lives:
                for edge in edges:
                    lives.start_soon(many_lives, edge, draw, acknowledged)
            network.cancel_scope.cancel()
        proxy.heal()
        # Twice the first one: it has to hear of what the second one brought.
        for edge in (*edges, edges[0]):
            with edge_process(task="finish", **edge) as process:
                assert await process.said()
                stands.append((await process.said())["stands"])
    assert stands[1] == stands[2]
    united = {record_id: set(document["s"]) for record_id, document in stands[1].items()}
    for record_id, member in acknowledged:
        assert member in united[record_id]
    for record_id, document in stands[1].items():
        # Each change added one to both: more would be one that counted twice.
        assert document["n"] == len(united[record_id]), record_id
    print(  # noqa: T201 - what a run saw
        f"{len(acknowledged)} changes acknowledged, {2 * KILLS} kills, "
        f"{sum(map(len, united.values())) - len(acknowledged)} more that were not heard of, "
        f"{proxy.traffic.connections} connections"
    )


async def many_lives(
    edge: dict[str, Any], draw: random.Random, acknowledged: set[tuple[str, str]]
) -> None:
    for _ in range(KILLS):
        await one_life(edge, draw.randrange(20, 120), acknowledged)
