"""Prometheus: each process owns one registry, passes it down, and serves it over HTTP."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from prometheus_client import CollectorRegistry, start_http_server

from secondlook.shared.errors import InvalidConfig, Unavailable


@asynccontextmanager
async def serve_metrics(
    registry: CollectorRegistry, host: str, port: int, *, ready: Callable[[], bool] | None = None
) -> AsyncIterator[int]:
    """Serve ``/metrics`` while the block runs; yields the port (useful where 0 was asked).

    With ``ready``, ``/healthz`` answers 200 while it says yes and 503 while it says no.

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
    if ready is not None:
        metrics = server.get_app()
        assert metrics is not None
        server.set_app(_with_health(metrics, ready))
    try:
        yield server.server_address[1]
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.shutdown)
            await anyio.to_thread.run_sync(thread.join)
        server.server_close()


_App = Callable[..., Iterable[bytes]]


def _with_health(metrics: _App, ready: Callable[[], bool]) -> _App:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            return metrics(environ, start_response)
        status, text = ("200 OK", b"ok\n") if ready() else ("503 Service Unavailable", b"wait\n")
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text]

    return app
