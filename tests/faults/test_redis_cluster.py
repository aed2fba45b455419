"""A real Redis Cluster of three masters: namespaces on all of them, slots that move, nodes lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from support.redis import RedisServer
from support.redis_cluster import RedisCluster, redis_cluster
from support.redis_writers import Writers

from secondlook.shared.errors import NotFound, StoreError, VersionConflict
from secondlook.shared.memory.record import Origin, Write
from secondlook.shared.memory.redis import RedisStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster() as running:
        yield running


def namespace_on(cluster: RedisCluster, node: RedisServer) -> str:
    """A fresh namespace that the node holds."""
    names = (f"fleet-{number}" for number in NUMBERS)
    return next(name for name in names if cluster.holder(name) is node)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_namespace_works_on_every_node(cluster: RedisCluster, place: int) -> None:
    node = cluster.nodes[place]
    namespace = await anyio.to_thread.run_sync(namespace_on, cluster, node)
    store = await RedisStore.open(cluster.url, namespace=namespace)
    first = await store.save("site/cam/k/a", {"n": 1}, 0, writer="w", origin=Origin("r", "1"))
    assert await store.load("site/cam/k/a") == first
    with pytest.raises(VersionConflict):
        await store.save("site/cam/k/a", {}, 0, writer="w")
    outcomes = await store.apply(
        [Write(f"site-{n % 3}/cam/k/{n}", {"n": n}, 0, "w") for n in range(50)]
        + [Write("site-0/cam/k/0", None, 1, "w"), Write("site/cam/k/gone", None, 1, "w")]
    )
    assert [outcome.record is not None for outcome in outcomes] == [True] * 51 + [False]
    assert isinstance(outcomes[-1].error, NotFound)
    everything = await store.changes()
    assert len(everything.records) == 51
    assert [record.change for record in everything.records] == sorted(
        record.change for record in everything.records
    )
    assert len((await store.changes("site-1/")).records) == 17
    assert await store.compact(0.0) == 1
    # Its keys are on that node, and on no other.
    held = [await other.ask("KEYS", f"{{{namespace}}}*") for other in cluster.nodes]
    assert [bool(keys) for keys in held] == [other is node for other in cluster.nodes]
    await store.close()


async def test_one_node_that_lives_is_enough_to_find_the_others(cluster: RedisCluster) -> None:
    node = cluster.nodes[2]
    namespace = await anyio.to_thread.run_sync(namespace_on, cluster, node)
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.nodes[0].port}"
    store = await RedisStore.open(url, namespace=namespace)
    await store.save("a", {}, 0, writer="w")
    await store.close()


async def test_a_url_of_one_server_is_told_that_it_is_a_node(cluster: RedisCluster) -> None:
    namespace = await anyio.to_thread.run_sync(namespace_on, cluster, cluster.nodes[1])
    store = await RedisStore.open(cluster.nodes[0].url, namespace=namespace)
    with pytest.raises(StoreError, match=r"redis\+cluster"):
        await store.save("a", {}, 0, writer="w")
    await store.close()


async def test_a_slot_moves_while_writers_run(cluster: RedisCluster) -> None:
    source, target = cluster.nodes[0], cluster.nodes[1]
    namespace = await anyio.to_thread.run_sync(namespace_on, cluster, source)
    store = await RedisStore.open(cluster.url, namespace=namespace)
    writers = Writers(store, 8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writers.run)
        await writers.grow(200)
        moved = await anyio.to_thread.run_sync(cluster.move, namespace, target)
        await writers.grow(200)
        back = await anyio.to_thread.run_sync(cluster.move, namespace, source)
        await writers.grow(200)
        writers.stop()
    print(  # noqa: T201 - what a run saw
        f"{writers.total} acknowledged writes, {moved} and {back} keys moved, "
        f"failures {dict(writers.failures)}"
    )
    assert await writers.lost() == {}
    for versions in writers.acknowledged.values():
        assert versions == list(range(1, len(versions) + 1))
    page = await store.changes()
    assert {record.id for record in page.records} == set(writers.acknowledged)
    await store.close()


async def test_a_killed_node_is_told_and_comes_back(cluster: RedisCluster) -> None:
    node = cluster.nodes[1]
    namespace = await anyio.to_thread.run_sync(namespace_on, cluster, node)
    store = await RedisStore.open(cluster.url, namespace=namespace)
    saved = await store.save("a", {"n": 1}, 0, writer="w")
    await anyio.to_thread.run_sync(node.kill)
    with pytest.raises(StoreError):
        await store.load("a")
    with pytest.raises(StoreError):
        await store.save("a", {}, 1, writer="w")
    await anyio.to_thread.run_sync(node.start)
    await anyio.to_thread.run_sync(cluster.wait)
    assert await store.load("a") == saved
    assert (await store.save("a", {"n": 2}, 1, writer="w")).version == 2
    await store.close()


async def test_nobody_there_is_a_store_error() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        await RedisStore.open("redis+cluster://127.0.0.1:1,127.0.0.1:2")
