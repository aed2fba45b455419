"""Recorded histories of many writers on Redis, with faults: nothing acknowledged is ever lost.

The seed of a run is told with its summary; `SECONDLOOK_TEST_SEED` repeats its decisions.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support.history import everything
from support.history_chaos import Network, in_thread
from support.history_check import check_history, complain
from support.history_ledger import check_ledger
from support.history_run import Run
from support.proxy import FaultProxy
from support.redis import RedisServer, redis_server

from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio

PROCESSES = 4
"""This one is one of them."""
WRITERS = 2
"""In each process: 8 in all."""
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


async def check(server: RedisServer, folder: Path, operations: int, times: Counter[str]) -> None:
    proxies = [FaultProxy("127.0.0.1", server.port) for _ in range(PROCESSES)]
    async with AsyncExitStack() as stack:
        for proxy in proxies:
            await stack.enter_async_context(proxy.running())
        urls = {f"w{number}": f"redis://{proxy.target}" for number, proxy in enumerate(proxies)}
        run = Run(folder, urls, WRITERS, operations)

        async def kill_redis() -> None:
            await in_thread(server.kill)
            await in_thread(server.start)

        async def flush_scripts() -> None:
            await server.ask("SCRIPT", "FLUSH")

        network = Network(proxies, run.dice)
        faults = {"redis killed": kill_redis, "scripts flushed": flush_scripts}
        await run.under(network.faults() | faults, times, network.heal)
    sys.stdout.write(run.told + "\n")
    store = await RedisStore.open(server.url)
    final = await everything(store)
    await store.close()
    problems = check_history(run.history, final) + check_ledger(run.history, final)
    assert not problems, f"{run.told}\n{complain(problems)}"
    # A short run may happen to meet no repetition; a long one has to.
    run.check_busy(times, repeats=int(operations > 1000))


async def test_no_write_is_lost_on_a_redis_that_is_killed(
    server: RedisServer, tmp_path: Path
) -> None:
    await check(server, tmp_path, 80, FAULTS)


@pytest.mark.heavy
@pytest.mark.timeout(900)
async def test_no_write_is_lost_in_a_long_run(server: RedisServer, tmp_path: Path) -> None:
    await check(server, tmp_path, 2000, Counter({name: 8 * n for name, n in FAULTS.items()}))
