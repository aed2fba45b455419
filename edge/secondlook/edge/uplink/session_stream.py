"""The stream of one camera: updates of its canvas go up in order, replies come back in any order.

An update is sent or its encoder is told: a question that fails with `StateLost` is one after which
nothing can follow but a key frame. Every other failure is of the question alone, and the canvas in
the cloud has gone on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import grpc
import grpc.aio

from secondlook.edge.control.link import Link
from secondlook.edge.uplink.drift import Drift
from secondlook.edge.uplink.guard import SICK, Guard
from secondlook.edge.uplink.meter import UplinkMeter
from secondlook.edge.uplink.retry import pause_s
from secondlook.edge.uplink.session_wire import SentUpdates, session_bytes
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.edge.uplink.waiting import Waiting, WaitingLine
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.clock import Clock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    SecondlookError,
    StateLost,
)
from secondlook.shared.telemetry import get_logger, inject
from secondlook.shared.wire.canvas import canvas_verdict_from_proto
from secondlook.shared.wire.status import error_from_status

if TYPE_CHECKING:
    from secondlook.rpc.v1.escalation_pb2_grpc import EscalationAsyncStub

_MAX_IN_FLIGHT = 16
"""Updates that are sent and have no reply; the service works on as many of a stream."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """What all streams of an uplink share.

    Attributes:
        settings: where and how.
        clock: the clock of the deadlines.
        stub: of the service.
        meter: counts.
        guard: is told how questions end.
        link: is told how long they took.
        down: called when the cloud turns out to be away.
        refused: called with the reason where the cloud takes no canvases.
        settled: called after each question.
        drift: keeps what pays for questions that were given up.
    """

    settings: UplinkSettings
    clock: Clock
    stub: EscalationAsyncStub
    meter: UplinkMeter
    guard: Guard
    link: Link | None
    down: Callable[[], None]
    refused: Callable[[str], None]
    settled: Callable[[], None]
    drift: Drift


@dataclass(frozen=True, slots=True)
class _Sent:
    """An update that was sent: when, how large on the wire, and what was ahead of it."""

    item: Waiting
    at_s: float
    size_bytes: int
    ahead_bytes: int


class CameraStream:
    """See the module. Every question put in is answered exactly once, `close` included.

    Args:
        camera: its id.
        way: what it shares with other cameras.
    """

    def __init__(self, camera: str, way: Way) -> None:
        self._camera = camera
        self._way = way
        self._line = WaitingLine(way.settings.queue)
        self._in_flight: dict[int, _Sent] = {}
        self._moved = anyio.Event()
        self._scope = anyio.CancelScope()
        self._sent = SentUpdates()
        self._model = ("", "")
        self._failures = 0
        self._draw = random.Random()

    @property
    def pending(self) -> int:
        """Questions taken in and not yet answered."""
        return len(self._line) + len(self._in_flight)

    async def put(self, item: Waiting, *, block: bool) -> None:
        """Take in a question. Where the queue is full it is refused: what came before it is worth
        more, since it needs no key frame.
        """
        if not block and len(self._line) >= self._way.settings.queue:
            self._fail(item, StateLost("too many updates wait to be sent"), "dropped")
            return
        try:
            await self._line.put(item, block=True)
        except anyio.get_cancelled_exc_class():
            # Who waited for room has been stopped: this question, too, has its end.
            self._fail(item, StateLost("the edge is stopping"), "unavailable")
            raise

    async def run(self) -> None:
        """Send what is put in, until `close`."""
        with self._scope:
            while True:
                first = await self._line.take()
                if self._scope.cancel_called:
                    self._fail(first, StateLost("the edge is stopping"), "unavailable")
                    return
                await self._converse(first)
                if self._failures:
                    settings = self._way.settings
                    pause = pause_s(
                        self._failures,
                        settings.backoff_initial_s,
                        settings.reconnect_max_s,
                        self._draw,
                    )
                    await anyio.sleep(pause)

    def close(self) -> None:
        """End the stream; what is not answered fails."""
        self._scope.cancel()
        self._lose(StateLost("the edge is stopping"))
        for item in self._line.clear():
            self._fail(item, StateLost("the edge is stopping"), "unavailable")

    async def _converse(self, first: Waiting) -> None:
        """One stream, from its first update to its end."""
        call: Any = self._way.stub.Session(metadata=inject())
        ended: SecondlookError | None = None
        try:
            async with anyio.create_task_group() as tasks:

                async def read() -> None:
                    nonlocal ended
                    ended = await self._read(call)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(read)
                tasks.start_soon(self._expire)
                await self._write(call, first)
                # Only a broken stream ends the writing; its reader knows why.
        finally:
            call.cancel()
            said = f"the stream ended: {ended}" if ended else "the stream ended"
            self._lose(StateLost(said), adrift=True)
        self._failures += 1

    async def _write(self, call: Any, first: Waiting) -> None:
        item = first
        while True:
            request = self._request(item)
            if request is not None:
                try:
                    await call.write(request)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return
            while len(self._in_flight) >= _MAX_IN_FLIGHT:
                await self._moved.wait()
            item = await self._line.take()
            self._way.meter.queued(len(self._line))

    def _request(self, item: Waiting) -> pb.SessionRequest | None:
        """The message of an update, which then is in flight; ``None`` where it cannot be sent."""
        way, now_s = self._way, self._way.clock.monotonic()
        if not self._sent.continues(item.escalation):
            self._fail(item, StateLost("what it builds on was not sent"), "state_lost")
            return None
        request = self._sent.message(item.escalation)
        size = session_bytes(
            request.ByteSize(), tls=way.settings.tls.enabled, first=request.index == 1
        )
        if item.fare is not None and not item.fare.attempt(size, now_s):
            self._sent.skip()
            self._fail(item, StateLost("the budget does not pay for this update"), "overloaded")
            return None
        ahead = sum(sent.size_bytes for sent in self._in_flight.values())
        way.meter.sent(request.ByteSize(), size)
        self._in_flight[request.index] = _Sent(item, now_s, size, ahead)
        self._move()
        return request

    async def _read(self, call: Any) -> SecondlookError | None:
        """Hand out replies until the stream ends; returns why it did."""
        while True:
            try:
                response = await call.read()
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    self._way.down()
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    self._way.refused(error.details() or "")
                self._way.guard.record(error.code() not in SICK, 0.0)
                _log.info("stream ended", camera=self._camera, error=error.details())
                return error_from_status(error.code(), error.details() or "")
            if response is grpc.aio.EOF:
                return None
            self._failures = 0
            self._reply(response)

    def _reply(self, response: pb.SessionResponse) -> None:
        sent = self._in_flight.pop(response.index, None)
        self._move()
        try:
            verdict = None
            if response.status == pb.SESSION_STATUS_OK and sent is not None:
                verdict = canvas_verdict_from_proto(
                    response.verdict, sent.item.escalation, self._model
                )
                self._model = verdict.model, verdict.version
            elif response.status == pb.SESSION_STATUS_OK:
                self._remember_model(response)
                return
        except InvalidInput as error:
            assert sent is not None
            self._fail(sent.item, error, "rejected")
            return
        if sent is None:
            # It has expired; what the reply says of the state, the next update is told too.
            return
        took_s = self._way.clock.monotonic() - sent.at_s
        self._way.drift.passed(sent.at_s)
        if verdict is not None:
            self._way.guard.record(True, took_s)
            self._way.meter.received(response.ByteSize(), took_s)
            if self._way.link is not None:
                self._way.link.answered(
                    sent.size_bytes, took_s, verdict.timings.total_s, sent.ahead_bytes
                )
            sent.item.answered(verdict, self._way.clock.monotonic())
            self._way.settled()
            return
        code = _CODES.get(response.error.code, grpc.StatusCode.UNKNOWN)
        if response.status == pb.SESSION_STATUS_NEED_KEYFRAME:
            self._way.guard.record(True, took_s)
            text = response.error.message or "the cloud needs a key frame"
            self._fail(sent.item, StateLost(text), "state_lost")
            return
        if code is grpc.StatusCode.UNIMPLEMENTED:
            self._way.refused(response.error.message)
        self._way.guard.record(code not in SICK, took_s)
        self._fail(sent.item, error_from_status(code, response.error.message), "rejected")

    def _remember_model(self, response: pb.SessionResponse) -> None:
        """A late reply may be the one that names the model."""
        verdict = response.verdict
        if verdict.model or verdict.model_version:
            self._model = verdict.model, verdict.model_version

    async def _expire(self) -> None:
        """Fail what has no reply in time; the canvas in the cloud goes on all the same."""
        while True:
            if not self._in_flight:
                await self._moved.wait()
                continue
            index, sent = next(iter(self._in_flight.items()))
            await anyio.sleep(sent.item.deadline.remaining_s(self._way.clock))
            if index in self._in_flight and sent.item.deadline.expired(self._way.clock):
                del self._in_flight[index]
                self._move()
                self._way.guard.record(False, self._way.clock.monotonic() - sent.at_s)
                self._fail(
                    sent.item,
                    DeadlineExceeded("the answer would come too late to be useful"),
                    "deadline",
                    adrift=True,
                )

    def _lose(self, error: StateLost, *, adrift: bool = False) -> None:
        """The state at the other end is gone, with all that was under way."""
        self._sent = SentUpdates()
        self._model = ("", "")
        lost, self._in_flight = list(self._in_flight.values()), {}
        for sent in lost:
            self._fail(sent.item, error, "unavailable", adrift=adrift)

    def _fail(
        self, item: Waiting, error: SecondlookError, reason: str, *, adrift: bool = False
    ) -> None:
        """There will be no answer; ``adrift``: though what was sent may still pass."""
        self._way.meter.failed(reason)
        if adrift:
            item.given_up(error, self._way.drift.put)
        else:
            item.failed(error, self._way.clock.monotonic())
        self._way.settled()

    def _move(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
