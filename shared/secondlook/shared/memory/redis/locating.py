"""Finding the server that holds a namespace: named, known to Sentinels, or the node of a slot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from redis.crc import key_slot
from redis.exceptions import NoPermissionError, RedisError

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.redis.connections import Command, Connections
from secondlook.shared.memory.redis.dialing import dial
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.scripts import HELLO
from secondlook.shared.memory.redis_url import Kind, RedisUrl

MAX_CONNECTIONS = 16
JUMP = 1 << 20
"""How far the sequence jumps past the changes that a lost server may have given out."""

Host = tuple[str, int]


class Locator(Protocol):
    """Finds the server that holds the namespace."""

    async def find(self) -> Connections:
        """Connections to it; none need be open yet.

        Raises:
            StoreError: nobody knows it.
        """
        ...

    def moved(self, host: Host) -> Connections | None:
        """Connections to the server that another one names; ``None``: look for it."""
        ...


def locator(target: RedisUrl, keys: Keys, timeout_s: float) -> Locator:
    """What finds the server of a URL."""
    opened = _Opener(target, keys, timeout_s)
    if target.kind is Kind.CLUSTER:
        return _Cluster(opened, key_slot(keys.sequence.encode()))
    if target.kind is Kind.SENTINEL:
        return _Sentinels(opened)
    return _OneServer(opened)


class _Opener:
    """Connections to servers of one URL."""

    def __init__(self, target: RedisUrl, keys: Keys, timeout_s: float) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._greeting: Command = ("EVAL", HELLO.text, 2, keys.sequence, keys.server, JUMP)

    def to(self, host: Host) -> Connections:
        """Connections to the server that holds the namespace."""
        return Connections(
            partial(dial, self.target, host, self._timeout_s),
            self._greeting,
            MAX_CONNECTIONS,
            self._timeout_s,
        )

    async def ask_any(
        self, hosts: Sequence[Host], command: Command, read: Callable[[Host, Any], Awaitable[Any]]
    ) -> tuple[Host, Any]:
        """The first host whose reply to ``command`` can be read, and what was read.

        Raises:
            StoreError: none of them; tells why the last one could not.
        """
        target = self.target
        to_sentinel = target.kind is Kind.SENTINEL
        # No silent host may use up the time of those after it.
        each_s = max(0.2, self._timeout_s / len(hosts))
        failure: Exception | None = None
        for host in hosts:
            make = partial(dial, target, host, each_s, to_sentinel=to_sentinel)
            connections = Connections(make, None, 1, each_s)
            try:
                (reply,) = await connections.exchange([command])
                if isinstance(reply, RedisError):
                    raise reply
                return host, await read(host, reply)
            except (RedisError, OSError, StoreError) as error:
                failure = error
            finally:
                await connections.retire()
        why = str(failure) or "no answer in time"
        raise StoreError(f"context memory {target.shown}: {why}") from failure


class _OneServer:
    def __init__(self, opener: _Opener) -> None:
        self._opener = opener

    async def find(self) -> Connections:
        hosts = self._opener.target.hosts
        return self._opener.to(hosts[0] if hosts else ("", 0))

    def moved(self, host: Host) -> Connections | None:
        return None


class _Cluster:
    """The master of the namespace's slot.

    Args:
        opener: of the Cluster's URL.
        slot: where all keys of the namespace are.
    """

    def __init__(self, opener: _Opener, slot: int) -> None:
        self._opener = opener
        self._slot = slot
        self._nodes: list[Host] = []

    async def find(self) -> Connections:
        # Nodes seen last time first: those in the URL may be gone by now.
        hosts = list(dict.fromkeys([*self._nodes, *self._opener.target.hosts]))
        _, master = await self._opener.ask_any(hosts, ("CLUSTER", "SLOTS"), self._read)
        return self._opener.to(master)

    def moved(self, host: Host) -> Connections | None:
        return self._opener.to(host) if host[0] else None

    async def _read(self, asked: Host, ranges: Any) -> Host:
        master: Host | None = None
        nodes: list[Host] = []
        for first, last, *members in ranges:
            # A node that does not know its own name leaves it out: it is the one we asked.
            hosts = [((name or b"").decode() or asked[0], int(port)) for name, port, *_ in members]
            nodes += hosts
            if int(first) <= self._slot <= int(last):
                master = hosts[0]
        if master is None:
            raise StoreError(f"the Cluster has no master for slot {self._slot} now")
        self._nodes = list(dict.fromkeys(nodes))
        return master


class _Sentinels:
    """The master by the name that the Sentinels give it."""

    def __init__(self, opener: _Opener) -> None:
        self._opener = opener
        self._hosts = list(opener.target.hosts)

    async def find(self) -> Connections:
        name = self._opener.target.name
        host, master = await self._opener.ask_any(
            self._hosts, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), self._read
        )
        # Whoever knew it is asked first next time.
        self._hosts.remove(host)
        self._hosts.insert(0, host)
        connections: Connections = master
        return connections

    def moved(self, host: Host) -> Connections | None:
        return None

    async def _read(self, asked: Host, reply: Any) -> Connections:
        if reply is None:
            raise StoreError(f"the Sentinels know no {self._opener.target.name!r}")
        name, port = reply
        connections = self._opener.to((name.decode(), int(port)))
        try:
            await _expect_master(connections)
        except BaseException:
            await connections.retire()
            raise
        return connections


async def _expect_master(connections: Connections) -> None:
    """A Sentinel may not have heard yet, or may be cut off: the server itself knows its role."""
    (role,) = await connections.exchange([("ROLE",)])
    if isinstance(role, NoPermissionError):
        return  # Then a write will tell.
    if isinstance(role, RedisError):
        raise role
    if role[0] != b"master":
        raise StoreError(f"what the Sentinels call master is a {role[0].decode()}")
