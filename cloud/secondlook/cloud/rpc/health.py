"""gRPC health checking, with the version and the time of the service beside each answer."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from secondlook.cloud.rpc.boundary import Context
from secondlook.shared.clock import Clock

VERSION_KEY = "secondlook-version"
"""Initial metadata of each health answer: the version of the service."""

TIME_KEY = "secondlook-time-ms"
"""Likewise: its wall clock, milliseconds since the Unix epoch, so that a skew can be seen."""

_Status = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):
    """``grpc.health.v1.Health``: all services, and the empty name, change together.

    Args:
        services: full names of the services.
        version: what the service says it is.
        clock: the clock whose time it tells.
    """

    def __init__(self, services: Sequence[str], version: str, clock: Clock) -> None:
        self._services = frozenset(("", *services))
        self._version = version
        self._clock = clock
        self._serving = False
        self._closed = False
        self._changed = anyio.Event()

    @property
    def serving(self) -> bool:
        """Whether new work is welcome."""
        return self._serving

    def set_serving(self, serving: bool) -> None:
        """Tell all who ask and all who watch."""
        self._serving = serving
        self._changed.set()
        self._changed = anyio.Event()

    def close(self) -> None:
        """Not serving, for good: those who watch are told, and let go."""
        self._closed = True
        self.set_serving(False)

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Whether a service takes work now; NOT_FOUND for one that is not here."""
        await context.send_initial_metadata(self._told())
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return _Status(status=self._status(request.service))

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """The same, now and at each change."""
        await context.send_initial_metadata(self._told())
        told = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status != told:
                await context.write(_Status(status=status))
                told = status
                # It may have changed again while this was written.
                continue
            if self._closed:
                return
            await changed.wait()

    def _told(self) -> tuple[tuple[str, str], ...]:
        now_ms = str(int(self._clock.wall() * 1000))
        return ((VERSION_KEY, self._version), (TIME_KEY, now_ms))

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if self._serving else _Status.NOT_SERVING
