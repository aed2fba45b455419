"""Recorded histories on a Redis Cluster whose slots move, and over failovers by Sentinel.

The seed of a run is told with its summary; `SECONDLOOK_TEST_SEED` repeats its decisions.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from support.history import everything
from support.history_chaos import in_thread
from support.history_check import acknowledgements, check_history, complain
from support.history_ledger import check_ledger
from support.history_run import Run
from support.redis_cluster import redis_cluster
from support.redis_sentinel import redis_sentinels

from secondlook.shared.memory.redis import RedisStore

# What of this must hold in every change is in test_redis_cluster.py and test_redis_sentinel.py.
pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]

PROCESSES = 4
"""This one is one of them."""
WRITERS = 2
"""In each process: 8 in all."""
NAMESPACE = "secondlook"


def nothing() -> None:
    """Nothing has to be healed."""


async def test_no_write_is_lost_on_a_cluster_whose_nodes_die_and_slots_move(
    tmp_path: Path,
) -> None:
    with redis_cluster() as cluster:
        run = Run(tmp_path, {f"w{n}": cluster.url for n in range(PROCESSES)}, WRITERS, 300)

        def sync_always() -> None:
            # Otherwise a disk that is slow lets Redis answer before it writes.
            for node in cluster.nodes:
                node.tell("CONFIG", "SET", "appendfsync", "always")

        async def kill_holder() -> None:
            node = await anyio.to_thread.run_sync(cluster.holder, NAMESPACE)
            await in_thread(node.kill)
            await in_thread(node.start)
            await in_thread(cluster.wait)
            await in_thread(sync_always)

        async def move_slot() -> None:
            source = await anyio.to_thread.run_sync(cluster.holder, NAMESPACE)
            target = run.dice.choice([node for node in cluster.nodes if node is not source])
            await in_thread(partial(cluster.move, NAMESPACE, target))

        async def flush_scripts() -> None:
            for node in cluster.nodes:
                await node.ask("SCRIPT", "FLUSH")

        faults = {"node killed": kill_holder, "slot moved": move_slot, "flushed": flush_scripts}
        times = Counter({"node killed": 4, "slot moved": 6, "flushed": 4, "writer killed": 2})
        await in_thread(sync_always)
        await run.under(faults, times, nothing)
        sys.stdout.write(run.told + "\n")
        store = await RedisStore.open(cluster.url)
        final = await everything(store)
        await store.close()
    problems = check_history(run.history, final) + check_ledger(run.history, final)
    assert not problems, f"{run.told}\n{complain(problems)}"
    run.check_busy(times, repeats=0)


async def test_no_acknowledged_write_is_lost_in_failovers_with_wait(tmp_path: Path) -> None:
    with redis_sentinels() as watched:
        urls = {f"w{n}": watched.url for n in range(PROCESSES)}
        run = Run(tmp_path, urls, WRITERS, 300, wait_replicas=1)

        async def fail_over() -> None:
            dead = await anyio.to_thread.run_sync(watched.fail_over)
            await in_thread(dead.start)
            await in_thread(watched.settle)

        times = Counter({"failover": 4, "writer killed": 2})
        await run.under({"failover": fail_over}, times, nothing)
        sys.stdout.write(run.told + "\n")
        store = await RedisStore.open(watched.url, wait_replicas=1)
        final = await everything(store)
        await store.close()
    promised = acknowledgements(run.history)
    problems = check_history(promised, final) + check_ledger(promised, final)
    assert not problems, f"{run.told}\n{complain(problems)}"
    run.check_busy(times)
