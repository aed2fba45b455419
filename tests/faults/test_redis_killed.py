"""A real Redis, killed for real: acknowledged saves survive, failures are told, work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from support.redis import RedisServer, redis_server

from secondlook.shared.errors import StoreError, VersionConflict
from secondlook.shared.memory import open_store
from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


async def test_killed_while_many_write(redis: RedisServer) -> None:
    store = await open_store(redis.url)
    acknowledged: dict[str, int] = {}
    enough = anyio.Event()

    async def write(writer: int) -> None:
        record_id = f"cam/{writer}"
        version = 0
        try:
            while True:
                record = await store.save(record_id, {"n": version}, version, writer="w")
                version = acknowledged[record_id] = record.version
                if sum(acknowledged.values()) > 500:
                    enough.set()
        except StoreError:
            return

    async with anyio.create_task_group() as tasks:
        for writer in range(8):
            tasks.start_soon(write, writer)
        await enough.wait()
        await anyio.to_thread.run_sync(redis.kill)
    await anyio.to_thread.run_sync(redis.start)

    assert len(acknowledged) == 8
    for record_id, version in acknowledged.items():
        record = await store.load(record_id)
        # One save more may have happened without its answer getting through; none may be missing.
        assert version <= record.version <= version + 1
        assert record.data == {"n": record.version - 1}
    await store.close()


async def test_a_redis_that_is_away_is_a_store_error_and_comes_back(redis: RedisServer) -> None:
    store = await open_store(redis.url)
    await store.save("a", {"n": 1}, 0, writer="w")
    await anyio.to_thread.run_sync(redis.kill)
    for call in (store.load("a"), store.save("a", {}, 1, writer="w"), store.changes()):
        with pytest.raises(StoreError, match=r"redis\.sock"):
            await call
    with pytest.raises(StoreError):
        await store.ping()
    await anyio.to_thread.run_sync(redis.start)
    assert (await store.load("a")).data == {"n": 1}
    await store.close()


async def test_a_redis_that_forgot_the_scripts_gets_them_again(redis: RedisServer) -> None:
    store = await RedisStore.open(redis.url)
    await store.save("a", {}, 0, writer="w")
    await redis.ask("SCRIPT", "FLUSH")
    assert (await store.save("a", {}, 1, writer="w")).version == 2
    await store.close()


async def test_a_save_whose_answer_was_lost_is_seen_as_a_conflict(redis: RedisServer) -> None:
    """Repeating a save that did happen must not write twice: the conflict brings our own record."""
    store = await open_store(redis.url)
    saving = asyncio.ensure_future(store.save("a", {"n": 1}, 0, writer="me"))
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait([saving])
    try:
        record = await store.save("a", {"n": 1}, 0, writer="me")
    except VersionConflict as conflict:
        record = conflict.current
    assert (record.version, record.writer, record.data) == (1, "me", {"n": 1})
    await store.close()


async def test_nobody_there_is_told_without_the_password() -> None:
    with pytest.raises(StoreError) as error:
        await open_store("redis://user:hunter2@127.0.0.1:1/0")
    assert "127.0.0.1:1" in str(error.value)
    assert "hunter2" not in str(error.value)


async def test_a_key_of_somebody_else_is_a_store_error(redis: RedisServer) -> None:
    store = await RedisStore.open(redis.url)
    await redis.ask("SET", "{secondlook}:records:a", "not ours")
    with pytest.raises(StoreError):
        await store.save("a", {}, 0, writer="w")
    await store.close()
