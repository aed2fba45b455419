"""A Ray cluster of several nodes on this machine, on the loopback alone."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

COMMON = {
    "node_ip_address": "127.0.0.1",
    # Ray takes no less than 75 MB.
    "object_store_memory": 100 * 1024 * 1024,
    "include_dashboard": False,
}


@cache
def shared_cluster() -> Any:
    """A cluster of a head that runs nothing and a node of one processor.

    It lasts as long as this process, which has joined it: a process joins one cluster at a time.
    Blocking; Ray starts nodes from the main thread alone.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Replicas import what tests give them.
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    # Else Ray takes the loopback for a mistake, and puts the machine's address in its place: in
    # processes that are started from here, and in this one, which may have imported Ray before.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    ray_constants.ENABLE_RAY_CLUSTER = False
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **COMMON})
    atexit.register(cluster.shutdown)
    atexit.register(ray.shutdown)
    cluster.add_node(num_cpus=1, **COMMON)
    ray.init(address=cluster.address, log_to_driver=False)
    return cluster


@contextmanager
def another_node(cluster: Any) -> Iterator[Any]:
    """A further node of one processor; gone at the end, if it is not gone before."""
    node = cluster.add_node(num_cpus=1, **COMMON)
    try:
        yield node
    finally:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)
        # Until its death is noticed, Ray still gives it replicas.
        cluster.wait_for_nodes()


async def gone(part: str) -> None:
    """Return once no application has that in its name."""
    from ray import serve

    def there() -> bool:
        return any(part in name for name in serve.status().applications)

    with anyio.fail_after(120):
        while await anyio.to_thread.run_sync(there):  # noqa: ASYNC110 - Ray tells no event
            await anyio.sleep(0.1)
