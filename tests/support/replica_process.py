"""An edge's memory as a process of its own: ``python -m support.replica_process JSON``.

It says each thing as a line of JSON on its output. What it does (``task``):

- ``churn``: changes records and synchronises at the same time, until it is killed; says each
  change that was acknowledged;
- ``finish``: synchronises until nothing waits; says what stands;
- ``hour``: lives through a simulated hour without a network, says so, waits for a line on its
  input, synchronises, says what it took; at the next line synchronises again and says what stands.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
import time
from typing import Any

import anyio
import anyio.to_thread

from secondlook.shared.clock import Clock, ManualClock, SystemClock
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory.kinds import GateState, Look, TrackVerdict
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.memory.replication import ReplicationSettings, SyncReport
from secondlook.shared.telemetry import configure_logging
from support.replica import Edge, standing

SETTINGS = ReplicationSettings(
    poll_s=0.2, gather_s=0.02, backoff_initial_s=0.05, backoff_max_s=0.5, batch=32
)
HOUR = ReplicationSettings()
HOUR_S = 3600.0


def say(**fields: Any) -> None:
    """One line, at once: what was said before a kill was said."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def churn(edge: Edge, given: dict[str, Any]) -> None:
    draw = random.Random(os.getpid())

    async def change() -> None:
        for number in range(given["changes"]):
            record_id = f"site/cam/tags/{draw.randrange(given['records'])}"
            member = f"{edge.name}-{os.getpid()}-{number}"
            await edge.change(record_id, n=1, s=member)
            say(id=record_id, member=member)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(edge.replicator.run)
        tasks.start_soon(change)


async def finish(edge: Edge, _: dict[str, Any]) -> None:
    await until_done(edge)
    say(stands=await standing(edge.store))


async def hour(edge: Edge, given: dict[str, Any], clock: ManualClock) -> None:
    begun_s = time.monotonic()
    counted = await live(edge, given, clock)
    say(changed=given["changes"], counted=counted, seconds=time.monotonic() - begun_s)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    begun_s = time.monotonic()
    report = await until_done(edge)
    say(report=dataclasses.asdict(report), seconds=time.monotonic() - begun_s)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    await until_done(edge)
    say(stands=await standing(edge.store))


async def live(edge: Edge, given: dict[str, Any], clock: ManualClock) -> dict[str, int]:
    """So many changes in an hour: gates count, tags unite, verdicts replace each other."""
    draw = random.Random(given["seed"])
    counted = {"asked": 0, "tags": 0}
    together = 40
    for _ in range(given["changes"] // together):
        clock.advance(HOUR_S * together / given["changes"])
        async with anyio.create_task_group() as tasks:
            for place in draw.sample(range(given["records"]), together):
                # The lower half of the records is known to both edges.
                owner = "both" if place < given["records"] // 2 else edge.name
                kind = ("gate", "tags", "verdict")[place % 3]
                record_id = f"site/{owner}/{kind}/{place}"
                member = f"{edge.name}{draw.getrandbits(24):x}"
                if kind == "gate":
                    tasks.start_soon(count, edge, record_id)
                    counted["asked"] += 1
                elif kind == "tags":
                    tasks.start_soon(tag, edge, record_id, member)
                    counted["tags"] += 1
                else:
                    tasks.start_soon(judge, edge, record_id, clock, draw.random())
    return counted


async def count(edge: Edge, record_id: str) -> None:
    def mutate(data: dict[str, Any]) -> dict[str, Any]:
        gate = GateState.of(data) if data else GateState()
        return gate.model_copy(update={"asked": gate.asked + 1}).document()

    await edge.edit(record_id, mutate)


async def tag(edge: Edge, record_id: str, member: str) -> None:
    await edge.change(record_id, n=1, s=member)


async def judge(edge: Edge, record_id: str, clock: Clock, score: float) -> None:
    verdict = TrackVerdict(
        at_s=clock.wall(),
        until_s=clock.wall() + 600,
        frame_width=1280,
        frame_height=720,
        box=(10.0, 20.0, 110.0, 220.0),
        look=Look.cut(1, 2, 8, 8, bytes(range(64)), (160, 90)),
        edge_class="person",
        edge_score=0.4,
        model="heavy",
        model_version="1",
        class_name="person",
        score=score,
        refuted=False,
    )
    await edge.edit(record_id, lambda _: verdict.document())


async def until_done(edge: Edge) -> SyncReport:
    """Synchronise until nothing waits here, whatever the network does."""
    total = SyncReport()
    while True:
        try:
            report = await edge.sync()
        except SecondlookError as error:
            say(trouble=str(error))
            await anyio.sleep(0.05)
            continue
        total.add(report)
        if not report.more:
            return total


async def main(given: dict[str, Any]) -> None:
    clock = ManualClock(wall_s=time.time() - HOUR_S)
    simulated = given["task"] == "hour"
    remote = await RemoteStore.open(given["url"], timeout_s=30 if simulated else 2)
    edge = Edge(
        given["name"],
        given["path"],
        remote,
        HOUR if simulated else SETTINGS,
        clock if simulated else SystemClock(),
        prefixes=("site/",),
    )
    await edge.start()
    say(ready=edge.replica.id)
    try:
        if simulated:
            await hour(edge, given, clock)
        else:
            await {"churn": churn, "finish": finish}[given["task"]](edge, given)
    finally:
        await edge.store.close()
        await remote.close()


if __name__ == "__main__":
    configure_logging("error")
    anyio.run(main, json.loads(sys.argv[1]))
