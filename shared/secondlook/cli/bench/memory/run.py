"""The whole benchmark, with a progress bar."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import Progress

from secondlook.cli.bench.memory.callers import Load
from secondlook.cli.bench.memory.redis_process import redis_server, running_redis
from secondlook.cli.bench.memory.redis_saves import redis_saves, scratch, used_bytes
from secondlook.cli.bench.memory.remote_saves import remote_saves, running_server
from secondlook.cli.bench.memory.sqlite_saves import sqlite_saves
from secondlook.cli.bench.memory.sync import CHANGED, Sync, fill, sync
from secondlook.shared.memory import ContextStore, SqliteStore

FEW = 1000


@dataclass(slots=True)
class MemoryBench:
    """Everything that was measured.

    Attributes:
        redis: loads of ``store`` and ``bare`` by number of callers; empty without a Redis.
        remote: loads of ``remote``, ``echo`` and ``redis``; empty without a Redis.
        sqlite: loads of ``store`` and ``bare``.
        syncs: by store, out of few records and out of many.
        bytes_per_record: memory of Redis for each record; ``None`` without a Redis.
    """

    redis: dict[int, dict[str, Load]] = field(default_factory=dict)
    remote: dict[int, dict[str, Load]] = field(default_factory=dict)
    sqlite: dict[int, dict[str, Load]] = field(default_factory=dict)
    syncs: dict[str, list[Sync]] = field(default_factory=dict)
    bytes_per_record: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and where.

    Attributes:
        folder: for SQLite's files.
        redis_url: the Redis; ``None``: the parts that need one are left out.
        ports: of the memory service and of the echo; ``None`` without a Redis.
        records: of the large memory.
        seconds: of each turn.
        rounds: turns of each system.
        callers: how many at once, in turn.
    """

    folder: Path
    redis_url: str | None
    ports: tuple[int, int] | None
    records: int
    seconds: float
    rounds: int
    callers: Sequence[int]


def measure(
    redis_url: str | None, records: int, seconds: float, rounds: int, callers: Sequence[int]
) -> MemoryBench:
    """Measure all of it; starts a Redis where none is given and one can be found."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sl-bench-")))
        executable = redis_server()
        if redis_url is None and executable is not None:
            redis_url = stack.enter_context(running_redis(executable))
        ports = None if redis_url is None else stack.enter_context(running_server(redis_url))
        progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        plan = Plan(folder, redis_url, ports, records, seconds, rounds, callers)
        return asyncio.run(_measure(plan, progress))


async def _measure(plan: Plan, progress: Progress) -> MemoryBench:
    found = MemoryBench()
    url, seconds, rounds = plan.redis_url, plan.seconds, plan.rounds
    steps = progress.add_task("saves", total=len(plan.callers) * (3 if url else 1))
    for count in plan.callers:
        found.sqlite[count] = await sqlite_saves(plan.folder, count, seconds, rounds)
        progress.advance(steps)
        if url is not None and plan.ports is not None:
            found.redis[count] = await redis_saves(url, count, seconds, rounds)
            progress.advance(steps)
            found.remote[count] = await remote_saves(url, plan.ports, count, seconds, rounds)
            progress.advance(steps)
    sizes = (FEW, plan.records)
    filled = progress.add_task("records", total=(2 if url else 1) * sum(sizes))

    def done(more: int) -> None:
        progress.advance(filled, more)

    async with AsyncExitStack() as stack:
        stores: dict[int, ContextStore] = {}
        for size in sizes:
            stores[size] = store = await SqliteStore.open(plan.folder / f"sync-{size}.db")
            stack.push_async_callback(store.close)
            await fill(store, size, done)
        found.syncs["sqlite"] = await sync(stores)
        if url is not None:
            for size in sizes:
                redis, client = await stack.enter_async_context(scratch(url, f"bench-sync-{size}"))
                stores[size] = redis
                before = await used_bytes(client)
                await fill(redis, size, done)
                found.bytes_per_record = (await used_bytes(client) - before) / size
            found.syncs["redis"] = await sync(stores)
    return found


__all__ = ["CHANGED", "FEW", "MemoryBench", "measure"]
