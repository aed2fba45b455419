"""Connecting, by name or address or path."""

from __future__ import annotations

import socket

from secondlook.cli.doctor.address import Address


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
