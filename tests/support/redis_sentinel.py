"""A real master, its replica and three Sentinels on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from support.redis import RedisServer, free_port, redis_folder, until

NAME = "memory"


class Sentinel(RedisServer):
    """One Sentinel; it votes a master down after ``down_ms`` of silence."""

    def __init__(self, folder: Path, port: int, master: RedisServer, down_ms: int) -> None:
        super().__init__(folder, port)
        (folder / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {master.port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {down_ms}\n"
            f"sentinel failover-timeout {NAME} 5000\n"
        )

    def _arguments(self) -> tuple[str, ...]:
        return (str(self.folder / "sentinel.conf"), "--sentinel")


class Watched:
    """A master, its replica, and the Sentinels that watch them.

    Attributes:
        servers: master and replica, in the order of their start.
        sentinels: the three.
    """

    def __init__(self, servers: list[RedisServer], sentinels: list[Sentinel]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    @property
    def master(self) -> RedisServer:
        """Who is master, as most Sentinels say."""
        ports = [self._port(sentinel) for sentinel in self.sentinels]
        return next(server for server in self.servers if ports.count(server.port) >= 2)

    def settle(self) -> None:
        """Wait until the replica follows and the Sentinels know all of it."""
        until(self.is_settled, lambda: "master, replica and Sentinels have not settled")

    def is_settled(self) -> bool:
        """Whether one more failure would be survived."""
        try:
            role, _, replicas = self.master.tell("ROLE")
            return role == b"master" and bool(replicas) and self._is_known()
        except (redis.RedisError, StopIteration, ValueError):
            return False

    def fail_over(self) -> RedisServer:
        """Kill the master with -9; returns it when another one is master."""
        dead = self.master
        dead.kill()
        until(lambda: self._is_replaced(dead), lambda: "no failover")
        return dead

    def _is_replaced(self, dead: RedisServer) -> bool:
        try:
            master = self.master
            return master is not dead and master.tell("ROLE")[0] == b"master"
        except (redis.RedisError, StopIteration):
            return False

    def _is_known(self) -> bool:
        for sentinel in self.sentinels:
            flat = sentinel.tell("SENTINEL", "MASTERS")[0]
            pairs = flat if isinstance(flat, list) else [x for pair in flat.items() for x in pair]
            text = [part.decode() if isinstance(part, bytes) else str(part) for part in pairs]
            state = dict(zip(text[::2], text[1::2], strict=True))
            if (state["num-other-sentinels"], state["num-slaves"]) != ("2", "1"):
                return False
            if state["flags"] != "master":
                return False
        return True

    def _port(self, sentinel: Sentinel) -> int:
        return int(sentinel.tell("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])


@contextmanager
def redis_sentinels(*, down_ms: int = 1000) -> Iterator[Watched]:
    """A settled set of them, for one test."""
    with ExitStack() as stack:

        def start(server: RedisServer) -> None:
            stack.callback(server.kill)
            server.start()

        def folder() -> Path:
            return stack.enter_context(redis_folder())

        # Replication begins at once, not seconds after the replica asks.
        options = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
        master = RedisServer(folder(), free_port(), options)
        start(master)
        replica = RedisServer(folder(), free_port(), options)
        start(replica)
        replica.tell("REPLICAOF", "127.0.0.1", master.port)
        sentinels = [Sentinel(folder(), free_port(), master, down_ms) for _ in range(3)]
        for sentinel in sentinels:
            start(sentinel)
        watched = Watched([master, replica], sentinels)
        watched.settle()
        yield watched
