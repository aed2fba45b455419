"""A real Sentinel failover: the master killed with -9 while writers run, with WAIT and without."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from support.redis_sentinel import Watched, redis_sentinels
from support.redis_writers import Writers

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.redis import RedisStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.fixture
def watched() -> Iterator[Watched]:
    with redis_sentinels() as running:
        yield running


@pytest.fixture(scope="module")
def kept() -> Iterator[Watched]:
    """For tests that kill no master."""
    with redis_sentinels() as running:
        yield running


async def fail_over_while_writing(watched: Watched, store: RedisStore) -> Writers:
    """The master dies under 8 writers, another takes over, the dead one comes back as a replica."""
    writers = Writers(store, 8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writers.run)
        await writers.grow(300)
        dead = await anyio.to_thread.run_sync(watched.fail_over)
        await anyio.to_thread.run_sync(dead.start)
        await writers.grow(300)
        writers.stop()
    return writers


async def test_with_wait_no_acknowledged_write_is_lost(watched: Watched) -> None:
    store = await RedisStore.open(watched.url, wait_replicas=1)
    writers = await fail_over_while_writing(watched, store)
    lost = await writers.lost()
    print(  # noqa: T201 - what a run saw
        f"WAIT 1: {writers.total} acknowledged writes, {len(lost)} records lost some, "
        f"failures {dict(writers.failures)}"
    )
    assert lost == {}
    for versions in writers.acknowledged.values():
        assert versions == list(range(1, len(versions) + 1))
    await store.close()


async def test_without_wait_work_goes_on_and_no_cursor_skips(watched: Watched) -> None:
    """What the replica did not have is lost; what is written later is seen from every cursor."""
    store = await RedisStore.open(watched.url)
    before = await store.save("before", {}, 0, writer="w")
    writers = Writers(store, 8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writers.run)
        await writers.grow(300)
        await anyio.to_thread.run_sync(watched.fail_over)
        tasks.cancel_scope.cancel()
    lost = await writers.lost()
    print(  # noqa: T201 - what a run saw
        f"no WAIT: {writers.total} acknowledged writes, lost (acknowledged, standing): {lost}"
    )
    # Above any cursor that anybody can have seen of the dead master.
    cursor = before.change + writers.total + 100
    after = await store.save("after", {}, 0, writer="w")
    page = await store.changes(since=cursor)
    assert page.records[-1] == after
    assert page.cursor == after.change
    await store.close()


async def test_a_sentinel_less_is_not_missed(kept: Watched) -> None:
    kept.sentinels[0].kill()
    try:
        store = await RedisStore.open(kept.url, namespace="less")
        await store.save("a", {}, 0, writer="w")
        await store.close()
    finally:
        await anyio.to_thread.run_sync(kept.sentinels[0].start)


async def test_a_name_they_do_not_know_is_told(kept: Watched) -> None:
    with pytest.raises(StoreError, match="other"):
        await RedisStore.open(kept.url.replace("/memory/", "/other/"))


async def test_a_url_of_the_replica_is_refused(kept: Watched) -> None:
    replica = next(server for server in kept.servers if server is not kept.master)
    with pytest.raises(StoreError, match="replica"):
        await RedisStore.open(replica.url)


async def test_too_few_replicas_are_told_and_the_write_stands(kept: Watched) -> None:
    store = await RedisStore.open(kept.url, wait_replicas=2, wait_ms=20)
    with pytest.raises(StoreError, match="1 of 2 replicas"):
        await store.save("a", {"n": 1}, 0, writer="w")
    assert (await store.load("a")).version == 1
    await store.close()
