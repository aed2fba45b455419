"""Prometheus: each process owns one registry, passes it down, and serves it over HTTP."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from prometheus_client import CollectorRegistry, start_http_server

from secondlook.shared.errors import InvalidConfig, Unavailable


@asynccontextmanager
async def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``/metrics`` while the block runs; yields the port (useful where 0 was asked).

    Raises:
        Unavailable: the port is in use.
        InvalidConfig: the address cannot be bound at all.
    """
    try:
        server, thread = await anyio.to_thread.run_sync(
            lambda: start_http_server(port, addr=host, registry=registry)
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"metrics port {host}:{port} is in use", remedy="choose another metrics.port, or 0"
            ) from None
        raise InvalidConfig(f"metrics cannot listen on {host}:{port}: {error}") from None
    try:
        yield server.server_address[1]
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.shutdown)
            await anyio.to_thread.run_sync(thread.join)
        server.server_close()
