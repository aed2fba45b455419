"""Asks the cloud. Nothing here is in a frame's way: questions are taken in, answers come later."""

from __future__ import annotations

import random
from types import TracebackType
from typing import TYPE_CHECKING, cast

import anyio
import anyio.abc
import grpc
import grpc.aio
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.edge.uplink.channel import UplinkState, next_state, open_channel
from secondlook.edge.uplink.meter import UplinkMeter
from secondlook.edge.uplink.retry import RetryBudget, pause_s
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.edge.uplink.waiting import Reply, Waiting, WaitingLine
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

__all__ = ["Reply", "Uplink", "UplinkState"]

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
    """

    def __init__(self, settings: UplinkSettings, clock: Clock, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._clock = clock
        self._line = WaitingLine(settings.queue)
        self._budget = RetryBudget(settings.retry_ratio, settings.retry_burst)
        self._draw = random.Random()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._in_flight: dict[str, Waiting] = {}
        self._idle = anyio.Condition()
        self._working = anyio.CancelScope()
        self._channel: grpc.aio.Channel | None = None
        self.meter = UplinkMeter(registry)
        self._state = UplinkState.CONNECTING if settings.enabled else UplinkState.OFF
        self.meter.state(self._state)

    @property
    def state(self) -> UplinkState:
        """Whether the cloud can be reached, as of now; asking keeps the connection trying.

        gRPC can tell changes too, but neither cancel such a watch nor end it with the channel.
        """
        if self._channel is not None:
            self._enter(next_state(self._state, self._channel.get_state(try_to_connect=True)))
        return self._state

    @property
    def accepting(self) -> bool:
        """Whether a question has a chance now; a picture need not be encoded where it has none."""
        return self.state in (UplinkState.READY, UplinkState.CONNECTING)

    @property
    def pending(self) -> int:
        """Questions taken in and not yet answered."""
        return len(self._line) + len(self._in_flight)

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self._settings.enabled:
            self._channel = open_channel(self._settings)
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
            item.reply.failed(item.escalation, Unavailable("the edge is stopping"))
        self._in_flight.clear()
        return swallowed

    async def submit(self, escalation: Escalation, reply: Reply, *, block: bool = False) -> None:
        """Take in a question.

        Args:
            escalation: what is asked.
            reply: called with the verdict, or with the reason why there is none.
            block: wait where the queue is full, instead of giving up its oldest question.
        """
        if not self.accepting:
            self.meter.failed("offline")
            reply.failed(escalation, Unavailable("the cloud cannot be reached"))
            return
        deadline = Deadline.after(self._settings.timeout_s, self._clock)
        dropped = await self._line.put(Waiting(escalation, reply, deadline), block=block)
        self.meter.queued(len(self._line))
        if dropped is not None:
            self.meter.failed("dropped")
            dropped.reply.failed(
                dropped.escalation, Overloaded("newer questions took its place in the queue")
            )

    async def wait_idle(self) -> None:
        """Return once nothing is pending."""
        async with self._idle:
            while self.pending:
                await self._idle.wait()

    async def _work(self) -> None:
        """Run the workers until the uplink is closed."""
        with self._working:
            async with anyio.create_task_group() as workers:
                for _ in range(self._settings.max_in_flight):
                    workers.start_soon(self._send)

    def _enter(self, state: UplinkState) -> None:
        before, self._state = self._state, state
        self.meter.state(state)
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
            item.reply.failed(escalation, error)
        else:
            self._in_flight.pop(escalation.request_id, None)
            item.reply.verdict(verdict)
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
                return await self._call(item.escalation, remaining_s)
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

    async def _call(self, escalation: Escalation, timeout_s: float) -> Verdict:
        """One attempt. gRPC's errors end here."""
        request = request_to_proto(escalation)
        started_s = self._clock.monotonic()
        self.meter.sent(request.ByteSize())
        with _tracer.start_as_current_span("escalate"):
            try:
                response = await self._stub.Escalate(request, timeout=timeout_s, metadata=inject())
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    # Until the connection is seen ready again, no picture is worth encoding.
                    self._enter(UplinkState.DOWN)
                raise error_from_status(error.code(), error.details() or "") from None
        self.meter.received(response.ByteSize(), self._clock.monotonic() - started_s)
        return verdict_from_proto(response, escalation)


def _reason(error: SecondlookError) -> str:
    """A word for the metrics."""
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    if isinstance(error, Overloaded):
        return "overloaded"
    if isinstance(error, Unavailable):
        return "unavailable"
    return "rejected"
