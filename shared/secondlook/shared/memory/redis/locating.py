"""Finding the server that holds a namespace."""

from __future__ import annotations

from typing import Any

import redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.driver_info import DriverInfo

from secondlook.shared.memory.redis.connections import Connections
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.master import Find
from secondlook.shared.memory.redis.scripts import HELLO
from secondlook.shared.memory.redis_url import RedisUrl

MAX_CONNECTIONS = 16
JUMP = 1 << 20
"""How far the sequence jumps past the changes that a lost server may have given out."""


def finder(target: RedisUrl, keys: Keys, timeout_s: float) -> Find:
    """What looks for the server that holds the namespace ``keys`` belong to."""

    async def one_server() -> Connections:
        host, port = target.hosts[0] if target.hosts else ("", 0)
        return connections_to(target, host, port, keys, timeout_s)

    return one_server


def connections_to(
    target: RedisUrl, host: str, port: int, keys: Keys, timeout_s: float
) -> Connections:
    """Connections to one server, which holds the namespace."""
    greeting = ("EVAL", HELLO.text, 2, keys.sequence, keys.server, JUMP)
    return Connections(
        lambda: connection_to(target, host, port, timeout_s), greeting, MAX_CONNECTIONS, timeout_s
    )


def connection_to(target: RedisUrl, host: str, port: int, timeout_s: float) -> AbstractConnection:
    """A connection, not yet opened."""
    common: dict[str, Any] = {
        "db": target.db,
        "username": target.username or None,
        "password": target.password or None,
        # `Connections` bounds each exchange as a whole.
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
        # Understood by every version, and by proxies.
        "protocol": 2,
        # Said here, or each new connection looks it up on disk, on the event loop.
        "driver_info": DriverInfo(lib_version=redis.__version__),
    }
    if target.path:
        return UnixDomainSocketConnection(path=target.path, **common)
    if not target.tls:
        return Connection(host=host, port=port, **common)
    checked = target.options.get("ssl_check_hostname", "yes") in ("yes", "true", "1")
    return SSLConnection(
        host=host,
        port=port,
        ssl_check_hostname=checked,
        ssl_ca_certs=target.options.get("ssl_ca_certs"),
        ssl_certfile=target.options.get("ssl_certfile"),
        ssl_keyfile=target.options.get("ssl_keyfile"),
        ssl_cert_reqs=target.options.get("ssl_cert_reqs", "required"),
        **common,
    )
