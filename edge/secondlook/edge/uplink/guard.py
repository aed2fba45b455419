"""The breaker at work: told how questions end, it sends probes while it is open."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from secondlook.edge.uplink.breaker import Breaker, BreakerState
from secondlook.edge.uplink.meter import UplinkMeter
from secondlook.edge.uplink.settings import BreakerSettings
from secondlook.shared.clock import Clock
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

SICK = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""What a cloud answers that cannot do its work; all else is the question's fault."""

_CHECK = "/grpc.health.v1.Health/Check"
_CHECK_BYTES = 8
"""The message of a health check, more or less."""

_SHORTEST_S = 0.001


class Guard:
    """Keeps questions from a cloud that fails.

    Args:
        settings: of the breaker.
        clock: its monotonic clock tells the time.
        meter: counts.
        draw: for the jitter.
        on_wire: what a message takes on the wire, bytes.
        passed: told when something that was answered had been sent, monotonic seconds.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        meter: UplinkMeter,
        draw: random.Random,
        on_wire: Callable[[int], int],
        passed: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._on_wire = on_wire
        self._passed = passed
        self._opened = anyio.Event()
        self._reachable = anyio.Event()
        self.breaker = Breaker(settings, draw)
        meter.breaker(self.breaker.state)

    @property
    def admits(self) -> bool:
        """Whether a question may be asked."""
        return self.breaker.admits

    def record(self, ok: bool, took_s: float) -> None:
        """A question came to its end."""
        self.breaker.record(ok, took_s, self._clock.monotonic())
        if self.breaker.state is BreakerState.OPEN and not self._opened.is_set():
            self._opened.set()
            self._tell()

    async def watch(self, channel: grpc.aio.Channel) -> None:
        """Until cancelled: while the breaker is open, wait, then probe until it is closed."""
        while True:
            await self._opened.wait()
            while not self.breaker.admits:
                now_s = self._clock.monotonic()
                if self.breaker.probe(now_s):
                    self._meter.breaker(self.breaker.state)
                    ok = await self.check(channel)
                    self.breaker.probed(ok, self._clock.monotonic())
                    self._tell()
                else:
                    with anyio.move_on_after(max(_SHORTEST_S, self.breaker.probe_at_s - now_s)):
                        await self._reachable.wait()
                        self._reachable = anyio.Event()
                        self.breaker.hurry(self._clock.monotonic())
            self._opened, self._reachable = anyio.Event(), anyio.Event()

    def connected(self) -> None:
        """There is a connection again where there was none: what was wrong may well be over."""
        if not self.breaker.admits:
            self._reachable.set()

    async def check(self, channel: grpc.aio.Channel) -> bool:
        """Send a health check; whether it was answered."""
        sent_s = self._clock.monotonic()
        ok = await _answers(channel, self._settings.probe_timeout_s)
        self._meter.probed(ok, self._on_wire(_CHECK_BYTES))
        if ok:
            self._passed(sent_s)
        return ok

    def _tell(self) -> None:
        state = self.breaker.state
        self._meter.breaker(state, opened=state is BreakerState.OPEN)
        if state is BreakerState.OPEN:
            pause_s = self.breaker.probe_at_s - self._clock.monotonic()
            _log.warning("breaker open", opened=self.breaker.opened, probe_in_s=round(pause_s, 2))
        elif state is BreakerState.CLOSED:
            _log.info("breaker closed")


async def _answers(channel: grpc.aio.Channel, timeout_s: float) -> bool:
    """Whether the cloud takes work. A service that knows no health check is alive, too."""
    check = channel.unary_unary(
        _CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = await check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNIMPLEMENTED
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
