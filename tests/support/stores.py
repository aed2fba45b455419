"""Every store of the context memory, opened in the same way."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from secondlook.shared.errors import NotFound
from secondlook.shared.memory import ContextStore, SqliteStore, open_store
from secondlook.shared.memory.protocol import Compactable
from secondlook.shared.memory.redis import RedisStore
from secondlook.shared.memory.remote import RemoteStore
from support.cloud import fake_cloud
from support.redis import RedisServer

STORES = ("sqlite", "sqlite-memory", "redis", "remote-sqlite", "remote-redis")
_numbers = itertools.count()


@asynccontextmanager
async def opened_store(
    kind: str, folder: Path, redis: RedisServer
) -> AsyncIterator[tuple[ContextStore, Compactable]]:
    """A fresh store, and the one behind it that forgets: the same, where nothing is in between."""
    namespace = f"test-{next(_numbers)}"
    async with AsyncExitStack() as stack:
        store: SqliteStore | RedisStore | RemoteStore
        behind: ContextStore
        if kind == "redis":
            behind = store = await RedisStore.open(redis.url, namespace=namespace)
        elif kind == "sqlite":
            behind = store = await SqliteStore.open(folder / f"{namespace}.db")
        elif kind == "sqlite-memory":
            behind = store = await SqliteStore.open(":memory:")
        else:
            url = redis.url if kind == "remote-redis" else f"sqlite:///{folder}/{namespace}.db"
            memory = {"url": url, "namespace": namespace}
            cloud, _ = await stack.enter_async_context(fake_cloud(memory=memory))
            behind = cloud.store
            opened = await open_store(f"grpc://127.0.0.1:{cloud.port}")
            assert isinstance(opened, RemoteStore)
            store = opened
        stack.push_async_callback(store.close)
        assert isinstance(behind, Compactable)
        yield store, behind


async def gone(store: ContextStore, record_id: str) -> None:
    """Return once a record is past its time to live; by the store's clock, so only asking tells."""
    with anyio.fail_after(10):
        while True:
            try:
                await store.load(record_id)
            except NotFound:
                return
            await anyio.sleep(0.005)
