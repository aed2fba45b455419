"""Recorded histories of many writers on Redis, with faults: nothing acknowledged is ever lost.

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
import pytest
import redis.asyncio
from support.history import Operation, everything, read_history
from support.history_chaos import Chaos, Network, crew, in_thread, seed_of_run, summary
from support.history_check import check_history, complain
from support.history_ledger import check_ledger
from support.history_work import Task, run_task
from support.proxy import FaultProxy
from support.redis import RedisServer, redis_server

from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio

PROCESSES = 3
WRITERS = 2
"""In each of the processes, and in this one: 8 in all."""
EVENT_BYTES = 900
"""About what one step of a writer adds to the history."""
FAULTS = Counter(
    {
        "cut": 6,
        "lost reply": 8,
        "lost request": 4,
        "corruption": 6,
        "stall": 4,
        "delay": 3,
        "refusal": 2,
        "redis killed": 3,
        "writer killed": 2,
        "scripts flushed": 3,
    }
)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("--appendfsync", "always", tcp=True) as server:
        yield server


async def run(server: RedisServer, folder: Path, operations: int, times: Counter[str]) -> str:
    """Writers in processes and in this one, each process behind a proxy; the summary of it."""
    seed = seed_of_run()
    dice = random.Random(seed)
    proxies = [FaultProxy("127.0.0.1", server.port) for _ in range(PROCESSES + 1)]
    network = Network(proxies, dice)

    async with AsyncExitStack() as stack:
        for proxy in proxies:
            await stack.enter_async_context(proxy.running())
        hands = stack.enter_context(crew(folder))
        targets = {f"w{number}": proxy.target for number, proxy in enumerate(proxies)}

        def task(name: str) -> Task:
            target = targets[name.partition("-")[0]]
            return Task(name, f"redis://{target}", str(folder), seed, WRITERS, operations)

        async def kill_redis() -> None:
            await in_thread(server.kill)
            await in_thread(server.start)

        async def kill_writer() -> None:
            name = dice.choice(hands.names)
            await in_thread(partial(hands.kill, name, f"{name}-again"))

        async def flush_scripts() -> None:
            async with redis.asyncio.Redis.from_url(server.url) as direct:
                await direct.script_flush()

        more = {
            "redis killed": kill_redis,
            "writer killed": kill_writer,
            "scripts flushed": flush_scripts,
        }
        chaos = Chaos(dice, folder, network.faults() | more)
        async with anyio.create_task_group() as tasks:
            names = list(targets)
            tasks.start_soon(run_task, task(names[-1]))
            for name in names[:-1]:
                await in_thread(partial(hands.start, name, lambda name: task(name).command()))
            work = len(targets) * WRITERS * operations
            await chaos.play(times, work * EVENT_BYTES // times.total())
            network.heal()
            hands.check()
            (folder / "stop").touch()
            await in_thread(hands.finish)

    history = read_history(folder)
    told = summary(seed, history, chaos.played)
    sys.stdout.write(told + "\n")
    store = await RedisStore.open(server.url)
    final = await everything(store)
    await store.close()
    problems = check_history(history, final) + check_ledger(history, final)
    assert not problems, f"{told}\n{complain(problems)}"
    assert chaos.played == times
    check_busy(history, len(targets) * WRITERS * operations)
    return told


def check_busy(history: list[Operation], least: int) -> None:
    """A run in which nothing happened proves nothing."""
    outcomes = Counter(operation.outcome for operation in history)
    assert outcomes["ok"] >= least
    assert outcomes["conflict"] >= least / 20
    assert outcomes["absent"] >= least / 100
    assert outcomes["unknown"] >= 10
    assert any(operation.repeat for operation in history)
    # Whoever was not killed knows in the end what became of everything.
    unsettled = {o.process for o in history if o.verb == "add" and o.outcome == "unknown"}
    assert all(f"{process}-again" in {o.process for o in history} for process in unsettled)


async def test_no_write_is_lost_on_a_redis_that_is_killed(
    server: RedisServer, tmp_path: Path
) -> None:
    await run(server, tmp_path, 80, FAULTS)


@pytest.mark.heavy
@pytest.mark.timeout(900)
async def test_no_write_is_lost_in_a_long_run(server: RedisServer, tmp_path: Path) -> None:
    await run(server, tmp_path, 2000, Counter({name: 8 * n for name, n in FAULTS.items()}))
