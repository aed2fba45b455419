"""Two edges live through an hour without a network, then meet over a thin, slow line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from support.cloud import cloud_process
from support.networks import write_bright_spot_model
from support.proxy import FaultProxy
from support.replica_edge import EdgeProcess, edge_process

LINE_BYTES_PER_S = 125_000
"""1 Mbit/s."""
ONE_WAY_S = 0.1


CHANGES = 5000
"""Of each of the two edges."""
RECORDS = 1500
"""That each knows; half of them are known to both."""


@pytest.mark.anyio
@pytest.mark.timeout(300)
async def test_after_an_hour_offline_nothing_is_lost(tmp_path: Path) -> None:
    model = write_bright_spot_model(tmp_path / "heavy.onnx")
    arguments = ("--port", "0", "--model", str(model), "--memory", "sqlite:///memory.db")
    with cloud_process(tmp_path, *arguments) as cloud:
        proxy = FaultProxy("127.0.0.1", cloud.port, delay_s=ONE_WAY_S, bytes_per_s=LINE_BYTES_PER_S)
        async with proxy.running():
            given = {
                "task": "hour",
                "url": f"grpc://{proxy.target}",
                "changes": CHANGES,
                "records": RECORDS,
            }
            one_file, two_file = str(tmp_path / "one.db"), str(tmp_path / "two.db")
            with (
                edge_process(name="one", path=one_file, seed=1, **given) as one,
                edge_process(name="two", path=two_file, seed=2, **given) as two,
            ):
                counted = {"asked": 0, "tags": 0}
                for edge in (one, two):
                    await edge.said()
                for edge in (one, two):
                    lived = await edge.said()
                    for name, count in lived["counted"].items():
                        counted[name] += count
                assert proxy.traffic.connections == 0
                reports = await both(one, two)
                tell(reports, proxy, 2 * CHANGES)
                passed = weighed(proxy)
                stands = [told["stands"] for told in await both(one, two)]
    assert stands[0] == stands[1]
    check(stands[0], counted)
    estimated = sum(told["report"][way] for told in reports for way in ("bytes_up", "bytes_down"))
    # The budget is of what really passes: both ways are compressed, and weighed as they are.
    assert passed < 1.5 * estimated + 20_000
    assert sum(told["report"]["merged"] for told in reports) > RECORDS / 8
    assert sum(told["report"]["parked"] for told in reports) == 0


async def both(*edges: EdgeProcess) -> list[dict[str, Any]]:
    """Let both go on at the same time; what each says next."""
    said: dict[int, dict[str, Any]] = {}

    async def one(number: int, edge: EdgeProcess) -> None:
        await edge.tell()
        said[number] = await edge.said()

    async with anyio.create_task_group() as tasks:
        for number, edge in enumerate(edges):
            tasks.start_soon(one, number, edge)
    return [said[number] for number in range(len(edges))]


def check(stands: dict[str, Any], counted: dict[str, int]) -> None:
    kinds = {record_id: record_id.split("/")[2] for record_id in stands}
    tags = [stands[record_id] for record_id in stands if kinds[record_id] == "tags"]
    gates = [stands[record_id] for record_id in stands if kinds[record_id] == "gate"]
    assert sum(gate["asked"] for gate in gates) == counted["asked"]
    assert sum(tag["n"] for tag in tags) == counted["tags"]
    # Each change united one member of its own: the set is as exact as the counter.
    assert all(len(tag["s"]) == tag["n"] for tag in tags)
    assert {"gate", "tags", "verdict"} == set(kinds.values())


def weighed(proxy: FaultProxy) -> int:
    """Bytes on the line, of all connections, both ways."""
    traffic = proxy.traffic
    return traffic.up + traffic.setup_up + traffic.down + traffic.setup_down


def tell(reports: list[dict[str, Any]], proxy: FaultProxy, changes: int) -> None:
    traffic = proxy.traffic
    up, down = traffic.up + traffic.setup_up, traffic.down + traffic.setup_down
    sums = {
        name: sum(told["report"][name] for told in reports)
        for name in ("pushed", "taken", "merged", "conflicts", "bytes_up", "bytes_down")
    }
    seconds = max(told["seconds"] for told in reports)
    print(  # noqa: T201 - what a run saw
        f"\n{changes} changes: {sums['pushed']} pushed, {sums['taken']} taken, "
        f"{sums['merged']} merged, {sums['conflicts']} conflicts; on the line {up} bytes up, "
        f"{down} down (estimated {sums['bytes_up']} up, {sums['bytes_down']} down), "
        f"{weighed(proxy) / changes:.1f} bytes a change, {seconds:.1f} s"
    )
