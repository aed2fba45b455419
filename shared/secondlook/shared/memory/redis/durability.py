"""What this Redis would lose, found out when the store opens and said in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.shared.errors import InvalidConfig, StoreError
from secondlook.shared.memory.redis.connections import Command
from secondlook.shared.memory.redis.master import Master
from secondlook.shared.memory.redis_url import Kind, RedisUrl
from secondlook.shared.telemetry import get_logger

WAIT_MS = 1000
"""Longest wait for replicas, unless told otherwise."""
MAX_WAIT_MS = 60_000


@dataclass(frozen=True)
class Wait:
    """Replicas that must have a write before it is acknowledged.

    Attributes:
        replicas: how many.
        limit_s: longest wait for them.
    """

    replicas: int
    limit_s: float

    @property
    def command(self) -> Command:
        """What is sent behind each write, on the same connection."""
        return ("WAIT", self.replicas, round(self.limit_s * 1000))

    @classmethod
    def of(cls, replicas: int, limit_ms: int) -> Wait | None:
        """Checked; ``None`` where no replica need have it.

        Raises:
            InvalidConfig: a number that cannot be.
        """
        if replicas < 0 or not 1 <= limit_ms <= MAX_WAIT_MS:
            raise InvalidConfig(
                f"wait_replicas {replicas}, wait_ms {limit_ms}: 0 or more replicas, and 1 to "
                f"{MAX_WAIT_MS} ms expected"
            )
        return cls(replicas, limit_ms / 1000) if replicas else None


_LOSES = {
    "everysec": "a killed server loses up to 2 seconds of them, a cut of power as well",
    "no": "a cut of power loses about half a minute of them",
}


async def check_durability(master: Master, target: RedisUrl, wait_replicas: int) -> None:
    """Warn of settings under which an acknowledged write can be lost.

    A user who may not ask INFO or CONFIG is not warned of what these would have told.

    Raises:
        StoreError: it cannot be reached, or is a replica.
    """
    log = get_logger(__name__).bind(store=target.shown)
    info_text, config = await master.try_ask(("INFO",), ("CONFIG", "GET", "appendfsync"))
    info = _fields(info_text or b"")
    if not info:
        log.info("Redis does not let this user ask INFO: its durability is not known")
        return
    if info.get("role") == "slave":
        raise StoreError(
            f"context memory {target.shown} is a replica, which takes no writes",
            remedy="memory.url must name the master, or its Sentinels: redis+sentinel://",
        )
    if info.get("aof_enabled") == "0":
        log.warning(
            "Redis has no append-only file: a crash loses acknowledged writes",
            remedy="set `appendonly yes`",
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        log.warning(
            "Redis failed to write its append-only file: a crash loses acknowledged writes",
            remedy="look at Redis' disk",
        )
    elif config:
        policy = config[1].decode()
        if policy != "always":
            log.warning(
                "Redis acknowledges writes before they are on its disk: " + _LOSES[policy],
                appendfsync=policy,
                remedy="set `appendfsync always`",
            )
    evicts = info.get("maxmemory_policy", "noeviction")
    if evicts != "noeviction" and info.get("maxmemory", "0") != "0":
        log.warning(
            "Redis drops records when its memory is full",
            maxmemory_policy=evicts,
            remedy="set `maxmemory-policy noeviction`",
        )
    _check_replicas(int(info.get("connected_slaves", "0")), target, wait_replicas)


def _check_replicas(connected: int, target: RedisUrl, wanted: int) -> None:
    log = get_logger(__name__).bind(store=target.shown)
    if wanted > connected:
        log.warning(
            "fewer replicas are connected than each write waits for: writes will fail",
            connected=connected,
            wait_replicas=wanted,
            remedy="start the replicas, or lower wait_replicas",
        )
    elif connected and not wanted and target.kind in (Kind.SENTINEL, Kind.CLUSTER):
        log.info("a failover loses writes that no replica has yet; wait_replicas=1 prevents it")


def _fields(text: bytes) -> dict[str, str]:
    lines = text.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
