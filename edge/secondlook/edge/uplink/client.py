"""Asks the cloud. Nothing here is in a frame's way: questions are taken in, answers come later."""

from __future__ import annotations

import random
from types import TracebackType
from typing import TYPE_CHECKING, cast

import anyio
import anyio.abc
import anyio.to_thread
import grpc
import grpc.aio
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.edge.control.link import Link
from secondlook.edge.uplink.breaker import Breaker
from secondlook.edge.uplink.channel import (
    UplinkState,
    channel_credentials,
    next_state,
    open_channel,
)
from secondlook.edge.uplink.drift import Drift
from secondlook.edge.uplink.framing import on_wire
from secondlook.edge.uplink.guard import SICK, Guard
from secondlook.edge.uplink.meter import UplinkMeter
from secondlook.edge.uplink.outages import OutageLog
from secondlook.edge.uplink.retry import RetryBudget, pause_s
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.edge.uplink.waiting import Fare, Reply, Waiting, WaitingLine
from secondlook.rpc.v1.escalation_pb2_grpc import EscalationStub
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.errors import (
    DeadlineExceeded,
    Overloaded,
    SecondlookError,
    Unavailable,
)
from secondlook.shared.telemetry import get_logger, inject, tracer
from secondlook.shared.values import Escalation, Verdict
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto
from secondlook.shared.wire.status import error_from_status

if TYPE_CHECKING:
    from secondlook.rpc.v1.escalation_pb2_grpc import EscalationAsyncStub

__all__ = ["Fare", "Reply", "Uplink", "UplinkState"]

_log = get_logger(__name__)
_tracer = tracer(__name__)


class Uplink:
    """The connection to the cloud, shared by all cameras.

    ::

        async with Uplink(settings, clock, registry) as uplink:
            if uplink.accepting:
                await uplink.submit(escalation, reply)

    Every question submitted is answered exactly once through its `Reply`, also when it is dropped,
    fails, or the uplink is closed.

    Args:
        settings: where and how.
        clock: the clock of the deadlines.
        registry: where the metrics go.
        link: is told how long each answered question took.

    Attributes:
        meter: totals.
        outages: when nothing could be asked.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        clock: Clock,
        registry: CollectorRegistry,
        link: Link | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._line = WaitingLine(settings.queue)
        self._budget = RetryBudget(settings.retry_ratio, settings.retry_burst)
        self._draw = random.Random()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._link = link
        self._in_flight: dict[str, Waiting] = {}
        self._under_way: dict[str, int] = {}
        self._drift = Drift(clock)
        self._loose: set[str] = set()
        self._new_connection = True
        self._connected = False
        self._idle = anyio.Condition()
        self._working = anyio.CancelScope()
        self._channel: grpc.aio.Channel | None = None
        self.meter = UplinkMeter(registry)
        self.outages = OutageLog(clock.monotonic())
        self._state = UplinkState.CONNECTING if settings.enabled else UplinkState.OFF
        self.meter.state(self._state)
        self._guard = Guard(
            settings.breaker, clock, self.meter, self._draw, self._on_wire, self._drift.passed
        )

    @property
    def state(self) -> UplinkState:
        """Whether the cloud can be reached, as of now; asking keeps the connection trying.

        gRPC can tell changes too, but neither cancel such a watch nor end it with the channel.
        """
        if self._channel is not None:
            channel = self._channel.get_state(try_to_connect=True)
            connected = channel is grpc.ChannelConnectivity.READY
            if connected and not self._connected:
                self._guard.connected()
            self._connected = connected
            self._enter(next_state(self._state, channel))
        return self._state

    @property
    def accepting(self) -> bool:
        """Whether a question has a chance now; a picture need not be encoded where it has none."""
        state = self.state
        reason = ""
        if state is UplinkState.DOWN:
            reason = "unreachable"
        elif not self._guard.admits:
            reason = "breaker open"
        self.outages.note(reason, self._clock.monotonic(), self._clock.wall())
        self.meter.outage(bool(reason))
        return not reason and state is not UplinkState.OFF

    @property
    def takes_canvases(self) -> bool:
        """Whether updates of canvases may be submitted: to `SessionUplink` alone."""
        return False

    @property
    def breaker(self) -> Breaker:
        """Whether the cloud is asked at all."""
        return self._guard.breaker

    @property
    def pending(self) -> int:
        """Questions taken in and not yet answered."""
        return len(self._line) + len(self._in_flight)

    def wire_bytes(self, escalation: Escalation) -> int:
        """Estimate of what an attempt takes on the wire, framing included."""
        return self._on_wire(request_to_proto(escalation).ByteSize())

    async def __aenter__(self) -> Self:
        # Files are read before the group is entered: who fails in `__aenter__` is never left again.
        credentials = None
        if self._settings.enabled:
            credentials = await anyio.to_thread.run_sync(channel_credentials, self._settings)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self._settings.enabled:
            self._channel = open_channel(self._settings, credentials)
            self._stub = cast("EscalationAsyncStub", EscalationStub(self._channel))
            self._tasks.start_soon(self._work)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._working.cancel()
        channel = self._channel
        self._channel = None
        if channel is not None:
            with anyio.CancelScope(shield=True):
                await channel.close()
        if isinstance(error, Exception):
            # The body's own error goes on as it is: the group would wrap it, or swallow it.
            await self._tasks.__aexit__(None, None, None)
            swallowed = None
        else:
            swallowed = await self._tasks.__aexit__(kind, error, trace)
        for item in [*self._in_flight.values(), *self._line.clear()]:
            item.failed(Unavailable("the edge is stopping"), self._clock.monotonic())
        self._in_flight.clear()
        self._drift.close()
        return swallowed

    async def submit(
        self, escalation: Escalation, reply: Reply, *, block: bool = False, fare: Fare | None = None
    ) -> None:
        """Take in a question.

        Args:
            escalation: what is asked.
            reply: called with the verdict, or with the reason why there is none.
            block: wait where the queue is full, instead of giving up its oldest question.
            fare: pays for each attempt; closed when the question is over, before the reply.
        """
        deadline = Deadline.after(self._settings.timeout_s, self._clock)
        item = Waiting(escalation, reply, deadline, fare)
        if not self.accepting:
            self.meter.failed("offline")
            item.failed(Unavailable("the cloud cannot be reached"), self._clock.monotonic())
            return
        try:
            dropped = await self._line.put(item, block=block)
        except anyio.get_cancelled_exc_class():
            # Who waited for room has been stopped: this question, too, has its end.
            item.failed(Unavailable("the edge is stopping"), self._clock.monotonic())
            raise
        self.meter.queued(len(self._line))
        if dropped is not None:
            self.meter.failed("dropped")
            dropped.failed(
                Overloaded("newer questions took its place in the queue"), self._clock.monotonic()
            )

    async def wait_idle(self) -> None:
        """Return once nothing is pending."""
        async with self._idle:
            while self.pending:
                await self._idle.wait()

    async def _work(self) -> None:
        """Run the workers, and the probes, until the uplink is closed."""
        with self._working:
            async with anyio.create_task_group() as workers:
                assert self._channel is not None
                workers.start_soon(self._guard.watch, self._channel)
                workers.start_soon(self._drift.watch, self._answers)
                for _ in range(self._settings.max_in_flight):
                    workers.start_soon(self._send)

    async def _answers(self) -> bool:
        """Whether a health check is answered, where the breaker sends none by itself."""
        if self._channel is None or not self._guard.admits:
            return False
        return await self._guard.check(self._channel)

    def _on_wire(self, message_bytes: int) -> int:
        return on_wire(
            message_bytes,
            metadata=inject(),
            tls=self._settings.tls.enabled,
            first=self._new_connection,
        )

    def _enter(self, state: UplinkState) -> None:
        before, self._state = self._state, state
        self.meter.state(state)
        self._new_connection |= state is not UplinkState.READY
        if before is not state:
            log = _log.warning if state is UplinkState.DOWN else _log.info
            log("uplink", state=state.value, address=self._settings.address)

    async def _send(self) -> None:
        """One of the workers: send questions, one at a time."""
        while True:
            item = await self._line.take()
            self._in_flight[item.escalation.request_id] = item
            self.meter.queued(len(self._line))
            await self._settle(item)

    async def _settle(self, item: Waiting) -> None:
        escalation = item.escalation
        try:
            verdict = await self._ask(item)
        except SecondlookError as error:
            self._in_flight.pop(escalation.request_id, None)
            self.meter.failed(_reason(error))
            _log.debug("question failed", request=escalation.request_id, error=str(error))
            if escalation.request_id in self._loose:
                item.given_up(error, self._drift.put)
            else:
                item.failed(error, self._clock.monotonic())
        else:
            self._in_flight.pop(escalation.request_id, None)
            item.answered(verdict, self._clock.monotonic())
        self._loose.discard(escalation.request_id)
        async with self._idle:
            self._idle.notify_all()

    async def _ask(self, item: Waiting) -> Verdict:
        """One question with its retries.

        Raises:
            SecondlookError: there is no answer.
        """
        settings = self._settings
        self._budget.asked()
        attempt = 1
        while True:
            remaining_s = item.deadline.remaining_s(self._clock)
            if remaining_s <= 0:
                raise DeadlineExceeded("the answer would come too late to be useful")
            try:
                return await self._call(item, remaining_s)
            except SecondlookError as error:
                wait_s = pause_s(
                    attempt, settings.backoff_initial_s, settings.backoff_max_s, self._draw
                )
                if (
                    not error.retriable
                    or attempt >= settings.max_attempts
                    or wait_s >= item.deadline.remaining_s(self._clock)
                    or not self._budget.take()
                ):
                    raise
            attempt += 1
            self.meter.retried()
            await anyio.sleep(wait_s)

    async def _call(self, item: Waiting, timeout_s: float) -> Verdict:
        """One attempt. gRPC's errors end here."""
        if self._channel is None:
            # Its pause was over in the moment in which the uplink was closed.
            raise Unavailable("the edge is stopping")
        escalation = item.escalation
        request = request_to_proto(escalation)
        started_s = self._clock.monotonic()
        ahead = sum(self._under_way.values())
        try:
            with _tracer.start_as_current_span("escalate"):
                size = self._pay(item, request.ByteSize())
                call = self._stub.Escalate(request, timeout=timeout_s, metadata=inject())
                response = await call
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                # Until the connection is seen ready again, no picture is worth encoding.
                self._enter(UplinkState.DOWN)
            self._guard.record(error.code() not in SICK, self._clock.monotonic() - started_s)
            if self._may_still_pass(error.code()):
                self._loose.add(escalation.request_id)
            raise error_from_status(error.code(), error.details() or "") from None
        finally:
            self._under_way.pop(escalation.request_id, None)
        took_s = self._clock.monotonic() - started_s
        self._guard.record(True, took_s)
        self.outages.answered(started_s)
        self._drift.passed(started_s)
        self.meter.received(response.ByteSize(), took_s)
        verdict = verdict_from_proto(response, escalation)
        if self._link is not None:
            self._link.answered(size, took_s, verdict.timings.total_s, ahead)
        return verdict

    def _may_still_pass(self, code: grpc.StatusCode) -> bool:
        """Whether what was sent may lie in a buffer: its end was not the service's word."""
        if code is grpc.StatusCode.UNAVAILABLE and self._channel is not None:
            state = self._channel.get_state()
            return state is not grpc.ChannelConnectivity.READY
        return code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

    def _pay(self, item: Waiting, message_bytes: int) -> int:
        """Pay for an attempt; returns what it takes on the wire, bytes.

        Raises:
            Overloaded: there is nothing to pay it with.
        """
        size = self._on_wire(message_bytes)
        if item.fare is not None and not item.fare.attempt(size, self._clock.monotonic()):
            raise Overloaded("the budget does not pay for this attempt")
        self._new_connection = False
        self.meter.sent(message_bytes, size)
        self._under_way[item.escalation.request_id] = size
        return size


def _reason(error: SecondlookError) -> str:
    """A word for the metrics."""
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    if isinstance(error, Overloaded):
        return "overloaded"
    if isinstance(error, Unavailable):
        return "unavailable"
    return "rejected"
