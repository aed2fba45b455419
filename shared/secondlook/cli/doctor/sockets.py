"""Blocking sockets, kept off the event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from typing_extensions import TypeVarTuple, Unpack

from secondlook.cli.doctor.address import Address

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def in_thread(function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
    """Run a blocking call without holding up the event loop."""
    # A blocking call holds its own time limit; a thread left behind by a cancelled check is a
    # daemon, so it cannot keep the command from ending.
    return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


def connect(address: Address, timeout_s: float) -> socket.socket:
    """A connected socket, on which every call waits at most ``timeout_s`` seconds."""
    if address.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection((address.host, address.port), timeout=timeout_s)
