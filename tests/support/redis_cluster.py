"""A real Redis Cluster of three masters on loopback, made without redis-cli."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from support.redis import RedisServer, free_port, redis_folder, until

_OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")


class RedisCluster:
    """Three masters.

    Attributes:
        nodes: the servers.
    """

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def form(self) -> None:
        """Share the slots out and introduce the nodes to each other."""
        share = -(-REDIS_CLUSTER_HASH_SLOTS // len(self.nodes))
        for number, node in enumerate(self.nodes):
            slots = range(number * share, min((number + 1) * share, REDIS_CLUSTER_HASH_SLOTS))
            node.tell("CLUSTER", "ADDSLOTS", *slots)
            node.tell("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.nodes[0].tell("CLUSTER", "MEET", "127.0.0.1", node.port)
        self.wait()

    def wait(self) -> None:
        """Until every node knows of every slot."""
        until(self.agrees, lambda: "the nodes do not agree on the Cluster")

    def agrees(self) -> bool:
        """Whether every node knows of every slot."""
        return all(self._is_well(node) for node in self.nodes)

    def holder(self, namespace: str) -> RedisServer:
        """The node that holds a namespace, as all nodes see it."""
        slot = slot_of(namespace)
        for first, last, (_, port, *_rest), *_replicas in self.nodes[0].tell("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody holds slot {slot}")

    def move(self, namespace: str, to: RedisServer) -> int:
        """Move the slot of a namespace, key by key, as ``redis-cli --cluster reshard`` does.

        Returns:
            How many keys were moved.
        """
        slot, source = slot_of(namespace), self.holder(namespace)
        to.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", _name(source))
        source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", _name(to))
        moved = 0
        # One at a time: the script's keys are then on both sides for as long as can be.
        while keys := source.tell("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.tell("MIGRATE", "127.0.0.1", to.port, "", 0, 30_000, "KEYS", *keys)
            moved += len(keys)
        for node in (to, source, *self.nodes):
            node.tell("CLUSTER", "SETSLOT", slot, "NODE", _name(to))
        until(lambda: self.holder(namespace) is to, lambda: f"slot {slot} has not moved")
        return moved

    def _is_well(self, node: RedisServer) -> bool:
        info = fields(node.tell("CLUSTER", "INFO"))
        return (
            info["cluster_state"] == "ok"
            and info["cluster_slots_ok"] == str(REDIS_CLUSTER_HASH_SLOTS)
            and info["cluster_size"] == info["cluster_known_nodes"] == str(len(self.nodes))
        )


def slot_of(namespace: str) -> int:
    """The slot of a namespace's keys."""
    return key_slot(f"{{{namespace}}}".encode())


def fields(reply: Any) -> dict[str, str]:
    """The ``name:value`` lines of an INFO, however the client gives them."""
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    lines = reply.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _name(node: RedisServer) -> str:
    name = node.tell("CLUSTER", "MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


@contextmanager
def redis_cluster() -> Iterator[RedisCluster]:
    """A Cluster for one test or module."""
    with ExitStack() as stack:
        nodes = []
        for _ in range(3):
            node = RedisServer(stack.enter_context(redis_folder()), free_port(), _OPTIONS)
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        cluster = RedisCluster(nodes)
        cluster.form()
        yield cluster
