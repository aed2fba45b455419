"""Saves into the Redis store against the bare client that calls the same script."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import redis
import redis.asyncio as aioredis
from redis.driver_info import DriverInfo

from secondlook.cli.bench.memory.callers import Load, Prepare, Request, compare
from secondlook.cli.bench.memory.documents import document, record_id
from secondlook.cli.bench.memory.saves import NUMBERS, saves
from secondlook.shared.memory.record import Write
from secondlook.shared.memory.redis import RedisStore
from secondlook.shared.memory.redis.batch import Batch
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.scripts import WRITE


async def redis_saves(url: str, callers: int, seconds: float, rounds: int) -> dict[str, Load]:
    """Loads of ``store`` and ``bare``."""
    async with (
        scratch(url, f"bench-store-{callers}") as (store, _),
        bare_redis(url, f"bench-bare-{callers}") as bare,
    ):
        return await compare({"store": saves(store), "bare": bare}, callers, seconds, rounds)


@asynccontextmanager
async def scratch(url: str, namespace: str) -> AsyncIterator[tuple[RedisStore, aioredis.Redis]]:
    """A store in a namespace that is emptied before and after, and a client beside it."""
    client = _client(url)
    store = await RedisStore.open(url, namespace=namespace)
    try:
        await _empty(client, namespace)
        yield store, client
    finally:
        await store.close()
        await _empty(client, namespace)
        await client.aclose()


async def used_bytes(client: aioredis.Redis) -> int:
    """Memory that Redis uses for data and its own structures, bytes."""
    return int((await client.info("memory"))["used_memory_dataset"])


@asynccontextmanager
async def bare_redis(url: str, namespace: str) -> AsyncIterator[Prepare]:
    """redis-py, pooled, which calls the store's own script and looks at nothing it answers."""
    client = _client(url)
    keys = Keys(namespace)
    await client.script_load(WRITE.text)

    def one() -> Request:
        number = next(NUMBERS)
        identity, data, versions = record_id(number), document(number), itertools.count()

        async def save() -> None:
            # Whoever stores documents must serialize them, and say which version they replace.
            batch = Batch(keys, [Write(identity, data, next(versions), "bench")])
            await cast(
                "Any", client.evalsha(WRITE.sha, len(batch.keys), *batch.keys, *batch.arguments)
            )

        return save

    async def prepare(callers: int) -> list[Request]:
        return [one() for _ in range(callers)]

    try:
        yield prepare
    finally:
        await _empty(client, namespace)
        await client.aclose()


def _client(url: str) -> aioredis.Redis:
    pool = aioredis.BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        # Said here, or each new connection looks it up on disk, on the event loop.
        driver_info=DriverInfo(lib_version=redis.__version__),
    )
    return aioredis.Redis.from_pool(pool)


async def _empty(client: aioredis.Redis, namespace: str) -> None:
    async for key in client.scan_iter(match=f"{{{namespace}}}:*", count=1000):
        await client.unlink(key)
