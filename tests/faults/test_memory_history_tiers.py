"""Edges with replicas, a cloud, a Redis, all killed, on a network with faults: all agree at last.

The seed of a run is told with its summary; `SECONDLOOK_TEST_SEED` repeats its decisions.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.cloud import CloudProcess
from support.history import Operation, everything, read_history
from support.history_chaos import Chaos, Network, crew, in_thread, seed_of_run, summary
from support.history_check import check_history, complain, of_store
from support.history_edge import Edge
from support.history_ledger import check_ledger, check_replicas
from support.history_work import Task, run_task
from support.networks import write_bright_spot_model
from support.proxy import FaultProxy
from support.redis import RedisServer, redis_server

from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio

EDGES = 2
EDGE_WRITERS = 3
CLOUD_WRITERS = 2
"""With those of the edges 8 writers, on two tiers."""
PAUSE_S = 0.01
EVENT_BYTES = 900
"""About what one step of a writer adds to the history."""
PATIENCE_S = 30.0
"""For what a run must have seen."""
FAULTS = Counter(
    {
        "cut": 3,
        "lost reply": 5,
        "lost request": 3,
        "corruption": 4,
        "stall": 3,
        "delay": 2,
        "refusal": 1,
        "redis killed": 2,
        "cloud killed": 2,
        "edge killed": 3,
        "scripts flushed": 2,
    }
)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("--appendfsync", "always", tcp=True) as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_spot_model(tmp_path_factory.mktemp("model") / "heavy.onnx")


class Cloud:
    """The cloud's process, which moves to another port each time it is started."""

    def __init__(self, folder: Path, memory: str, model: Path) -> None:
        self._folder = folder
        self._arguments = ("--port", "0", "--model", str(model), "--memory", memory)
        self._running: CloudProcess | None = None

    def start(self) -> int:
        """Start it; returns its port."""
        self._running = CloudProcess(self._folder, *self._arguments)
        return self._running.port

    def kill(self) -> None:
        """kill -9."""
        if self._running is not None:
            self._running.kill()
            self._running = None


async def run(
    server: RedisServer, model: Path, folder: Path, operations: int, times: Counter[str]
) -> None:
    seed = seed_of_run()
    dice = random.Random(seed)
    async with AsyncExitStack() as stack:
        below = FaultProxy("127.0.0.1", server.port)
        await stack.enter_async_context(below.running())
        cloud = Cloud(folder, f"redis://{below.target}", model)
        stack.callback(cloud.kill)
        port = await anyio.to_thread.run_sync(cloud.start)
        ways = {f"edge{number}": FaultProxy("127.0.0.1", port) for number in range(EDGES)}
        for way in ways.values():
            await stack.enter_async_context(way.running())
        hands = stack.enter_context(crew(folder))
        network = Network([*ways.values(), below], dice)

        def edge(name: str) -> Edge:
            base = name.partition("-")[0]
            return Edge(
                name,
                file=str(folder / f"{base}.db"),
                url=f"grpc://{ways[base].target}",
                folder=str(folder),
                seed=seed,
                writers=EDGE_WRITERS,
                operations=operations,
                pause_s=PAUSE_S,
            )

        async def kill_redis() -> None:
            await in_thread(server.kill)
            await in_thread(server.start)

        async def flush_scripts() -> None:
            await server.ask("SCRIPT", "FLUSH")

        async def kill_cloud() -> None:
            await in_thread(cloud.kill)
            port = await anyio.to_thread.run_sync(cloud.start)
            for way in ways.values():
                way.redirect("127.0.0.1", port)

        async def kill_edge() -> None:
            name = dice.choice(hands.names)
            await in_thread(partial(hands.kill, name))

        more = {
            "redis killed": kill_redis,
            "cloud killed": kill_cloud,
            "edge killed": kill_edge,
            "scripts flushed": flush_scripts,
        }
        chaos = Chaos(dice, folder, network.faults() | more)
        direct = Task(
            "cloud",
            f"redis://{below.target}",
            str(folder),
            seed,
            CLOUD_WRITERS,
            operations,
            pause_s=PAUSE_S,
        )
        async with anyio.create_task_group() as tasks:
            for name in ways:
                await in_thread(partial(hands.start, name, lambda name: edge(name).command()))
            tasks.start_soon(run_task, direct)
            await chaos.play(times, least(operations) * EVENT_BYTES // times.total())
            await until_busy(chaos, folder, least(operations))
            network.heal()
            (folder / "stop").touch()
        await hands.all_said("quiet")
        (folder / "settled").touch()
        await in_thread(hands.finish)

    history = read_history(folder)
    told = summary(seed, history, chaos.played)
    sys.stdout.write(told + "\n")
    memory = await RedisStore.open(server.url)
    final = await everything(memory)
    await memory.close()
    problems = check_history(of_store(history, "cloud"), final) + check_ledger(history, final)
    replicas = {}
    for name in ways:
        local = await SqliteStore.open(edge(name).file)
        replicas[name] = await everything(local)
        await local.close()
        mine = of_store(history, edge(name).local)
        problems += check_history(mine, replicas[name], complete=False)
    problems += check_replicas(final, replicas)
    assert not problems, f"{told}\n{complain(problems)}"
    assert chaos.played >= times
    assert not missing(history, least(operations))


def least(operations: int) -> int:
    """How many steps all writers do at least."""
    return (EDGES * EDGE_WRITERS + CLOUD_WRITERS) * operations


async def until_busy(chaos: Chaos, folder: Path, steps: int) -> None:
    """Lose more answers while something is missing that the run must have seen.

    The faults of the plan come after so much work here; how much of it has reached the cloud by
    then, and which answers were lost, depends on how fast this machine is.
    """
    with anyio.move_on_after(PATIENCE_S):
        while missing(await anyio.to_thread.run_sync(read_history, folder), steps):
            await chaos.faults["lost reply"]()
            chaos.played["lost reply"] += 1
            # Part of the fault: the writers have some time between one lost answer and the next.
            await anyio.sleep(chaos.dice.uniform(0.2, 0.6))


def missing(history: list[Operation], steps: int) -> list[str]:
    """What has not happened enough: a run in which nothing happened proves nothing."""
    local = Counter(o.outcome for o in history if o.store.startswith("local"))
    cloud = [o for o in history if o.store == "cloud"]
    pushed = Counter(o.outcome for o in cloud if o.process.startswith("edge"))
    repeated = sum(o.repeat for o in cloud)
    wanted = {
        "written on the edges": (local["ok"], steps / 2),
        "pushed": (pushed["ok"], steps / 10),
        "conflicts": (pushed["conflict"], steps / 100),
        "pushed without an answer": (pushed["unknown"], 3),
        "sent twice": (repeated, 1),
    }
    return [
        f"{name}: {count} of {fewest}" for name, (count, fewest) in wanted.items() if count < fewest
    ]


async def test_replicas_converge_and_nothing_is_lost(
    server: RedisServer, model: Path, tmp_path: Path
) -> None:
    await run(server, model, tmp_path, 150, FAULTS)


@pytest.mark.heavy
@pytest.mark.timeout(900)
async def test_replicas_converge_after_a_long_run(
    server: RedisServer, model: Path, tmp_path: Path
) -> None:
    await run(server, model, tmp_path, 1500, Counter({name: 3 * n for name, n in FAULTS.items()}))
