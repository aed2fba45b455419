"""From a URL to a connection of redis-py."""

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

from secondlook.shared.memory.redis_url import RedisUrl


def dial(
    target: RedisUrl, host: tuple[str, int], timeout_s: float, *, to_sentinel: bool = False
) -> AbstractConnection:
    """A connection, not yet opened.

    Args:
        target: says who we are, and how TLS is done.
        host: name and port; not used for a unix socket.
        timeout_s: longest wait for the connection.
        to_sentinel: a Sentinel has users of its own.
    """
    options = target.options
    username, password, db = target.username, target.password, target.db
    if to_sentinel:
        username, db = options.get("sentinel_username", ""), 0
        password = options.get("sentinel_password", "")
    arguments: dict[str, Any] = {
        "db": db,
        "username": username or None,
        "password": password or None,
        # `Connections` bounds each exchange as a whole.
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
        # Understood by every version, and by proxies.
        "protocol": 2,
        # Said here, or each new connection looks it up on disk, on the event loop.
        "driver_info": DriverInfo(lib_version=redis.__version__),
    }
    if target.path:
        return UnixDomainSocketConnection(path=target.path, **arguments)
    arguments.update(host=host[0], port=host[1])
    if not target.tls:
        return Connection(**arguments)
    return SSLConnection(
        ssl_check_hostname=options.get("ssl_check_hostname", "yes") in ("yes", "true", "1"),
        ssl_ca_certs=options.get("ssl_ca_certs"),
        ssl_certfile=options.get("ssl_certfile"),
        ssl_keyfile=options.get("ssl_keyfile"),
        ssl_cert_reqs=options.get("ssl_cert_reqs", "required"),
        **arguments,
    )
