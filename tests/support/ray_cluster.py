"""A Ray cluster of several nodes on this machine, on the loopback alone."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

STORE_BYTES = 100 * 1024 * 1024
"""Shared memory of a node; Ray takes no less than 75 MB."""


@contextmanager
def ray_cluster(head_cpus: int, *node_cpus: int) -> Iterator[tuple[Any, list[Any]]]:
    """A head and further nodes with so many processors, said to be theirs."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Replicas import what tests give them.
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    # Else Ray takes the loopback for a mistake, and puts the machine's address in its place.
    ray_constants.ENABLE_RAY_CLUSTER = False

    common = {
        "node_ip_address": "127.0.0.1",
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": head_cpus, **common})
    try:
        yield cluster, [cluster.add_node(num_cpus=cpus, **common) for cpus in node_cpus]
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()


@cache
def shared_cluster() -> str:
    """The address of a cluster of one node that lasts as long as this process.

    Blocking; Ray starts nodes from the main thread alone.
    """
    stack = ExitStack()
    cluster, _ = stack.enter_context(ray_cluster(2))
    atexit.register(stack.close)
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    address: str = cluster.address
    return address
