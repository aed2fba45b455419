"""The address that the service listens on: whether it can be had, and keeping it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from secondlook.shared.errors import InvalidConfig, Unavailable


@contextmanager
def reserved(host: str, port: int, *, shared: bool) -> Iterator[int]:
    """Keep a TCP port for the processes that share it; yields it, also where 0 was asked.

    What is bound here does not listen, so that the system gives all connections to those who do. It
    keeps the port where all of them have died. Blocking.

    Args:
        host: name or address.
        port: 0 lets the system choose.
        shared: whether others may listen there already.

    Raises:
        Unavailable: others listen there.
        InvalidConfig: there is no such address here, or this system shares no ports.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InvalidConfig("server.processes: this system does not let processes share a port")
    with ExitStack() as stack:
        try:
            if port and not shared:
                with _bound(host, port, socket.SO_REUSEADDR) as probe:
                    # Who listens elsewhere with SO_REUSEPORT is met by listening alone.
                    probe.listen()
            held = stack.enter_context(_bound(host, port, socket.SO_REUSEADDR, socket.SO_REUSEPORT))
        except OSError as error:
            raise _refused(host, port, error) from None
        chosen: int = held.getsockname()[1]
        yield chosen


def why_not(host: str, port: int) -> Unavailable | InvalidConfig:
    """Why an address cannot be bound: gRPC does not say, so ask the system again. Blocking."""
    try:
        with _bound(host, port):
            pass
    except OSError as error:
        return _refused(host, port, error)
    return _taken(host, port)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    family, kind, _, _, address = found[0]
    bound = socket.socket(family, kind)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _refused(host: str, port: int, error: OSError) -> Unavailable | InvalidConfig:
    if error.errno == errno.EADDRINUSE:
        return _taken(host, port)
    return InvalidConfig(f"server cannot listen on {host}:{port}: {error.strerror}")


def _taken(host: str, port: int) -> Unavailable:
    return Unavailable(
        f"port {host}:{port} is in use",
        remedy="stop what uses it, choose another server.port, or 0",
    )
