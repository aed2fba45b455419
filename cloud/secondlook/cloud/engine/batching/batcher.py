"""Serves one version of one model to many callers: queue, batches, deadlines, faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.batching.atonce import AtOnce
from secondlook.cloud.engine.batching.delivery import Delivery, Statement
from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.expiry import Expiry
from secondlook.cloud.engine.batching.lanes import Instance, Kind
from secondlook.cloud.engine.batching.pace import Pace
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.runner import TOO_LATE
from secondlook.cloud.engine.batching.workers import Workers
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.statistics import Statistics
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    Unavailable,
)

P = TypeVar("P")
R = TypeVar("R")

_PAUSE_EVERY = 64
"""After so many requests that were answered, or failed, at once the event loop gets its turn."""


class Batcher:
    """One version of one model in one variant, any number of instances, one thread each.

    A thread takes its next batch itself as soon as it is free: the device never waits for the
    event loop, nor for a fuller batch (unless `Policy.max_queue_delay_s` is set and what was
    measured says that it pays). A batch that fails is run again by halves, so that a poisoned
    request costs its neighbours time but not their answer. Answers that are ready together cross to
    the event loop together.

    Args:
        name: the model.
        version: the version.
        instances: its copies; closed by `drain`. All have the same lanes.
        policy: how to queue, batch and refuse.
        metrics: where to count.
        clock: the clock of the deadlines.
        variant: its precision.

    Attributes:
        name: the model.
        version: the version.
        variant: its precision.
    """

    def __init__(
        self,
        name: str,
        version: str,
        instances: Sequence[Instance],
        policy: Policy,
        *,
        metrics: EngineMetrics,
        clock: Clock | None = None,
        variant: str = "",
    ) -> None:
        self.name, self.version, self.variant = name, version, variant
        self._clock = clock or SystemClock()
        self._policy = policy
        self._most = policy.max_rows or policy.max_batch
        self._instances = list(instances)
        self._lanes = self._instances[0].lanes
        self._dispatch = Dispatch(policy, len(self._instances), self._clock)
        self._expiry = Expiry(self._expired, self._clock)
        self._metrics = metrics.of_batcher(name, version, variant)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_flight = 0
        self._ringing = False
        self._unpaused = 0
        self._statistics = Statistics(name, version)
        self._delivery = Delivery(
            Statement(name, version, variant),
            self._statistics,
            self._metrics,
            self._dispatch,
            self._clock,
        )
        self._at_once = AtOnce(self._instances, self._dispatch, self._delivery)
        self._workers = Workers(
            f"{name}-{version}", self._instances, self._dispatch, self._delivery.report, self._clock
        )

    @property
    def statistics(self) -> Statistics:
        """What it has done; changed on the event loop only."""
        self._delivery.settle()
        return self._statistics

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._dispatch.waiting

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and have no answer yet."""
        return self._in_flight

    @property
    def pace(self) -> Pace:
        """What has been learned of the time per batch."""
        return self._dispatch.pace

    @property
    def limit(self) -> int:
        """Most rows of a batch now; at most `Policy.max_batch`."""
        return self._dispatch.limit

    @limit.setter
    def limit(self, rows: int) -> None:
        self._dispatch.limit = max(1, min(rows, self._policy.max_batch))

    @property
    def max_batch(self) -> int:
        """The largest that `limit` may be."""
        return self._policy.max_batch

    @property
    def instances(self) -> int:
        """Copies that run side by side."""
        return len(self._instances)

    def take_waits(self) -> list[float]:
        """Seconds from acceptance to answer of the last requests since the last call."""
        return self._delivery.take_waits()

    def arrivals_per_s(self) -> float:
        """Rows that were asked for, a second, let in or not."""
        return self._dispatch.arrivals_per_s()

    def stuck_s(self) -> float:
        """How long the batch that has run longest has run, seconds; 0: nothing runs."""
        return self._dispatch.stuck_s()

    def start(self) -> None:
        """Start the threads; answers go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._delivery.loop = self._loop
        self._metrics.watch(self._dispatch)
        self._workers.start()

    async def submit(
        self, kind: Kind[P, R], payload: P, ask: Ask, *, reason: str = ""
    ) -> tuple[R, Ran]:
        """Ask the model.

        Args:
            kind: the lane.
            payload: what the lane takes; not written to, and not to be changed until the answer.
            ask: until when, how urgent, for whom; model and version are not looked at.
            reason: why this version and variant; travels into the answer.

        Raises:
            InvalidInput: the lane does not take it; more rows than a batch has; no such lane.
            Overloaded: no room, or no chance of an answer in time; says when to ask again.
            DeadlineExceeded: it is too late.
            Unavailable: draining, or the network is gone.
            ModelFailure: the network failed on it.
        """
        lane = self._lanes.get(kind)
        if lane is None:
            raise InvalidInput(f"{self.name} cannot be asked by {kind.name}")
        rows = lane.rows(payload)
        if rows > self._most:
            raise InvalidInput(f"{rows} rows asked; {self.name} takes at most {self._most}")
        now_s = self._clock.monotonic()
        deadline_s = ask.deadline.at_s
        if deadline_s <= now_s:
            self._metrics.dropped("expired")
            raise DeadlineExceeded(TOO_LATE)
        assert self._loop is not None, "start() comes first"
        seat = self._at_once.claim(rows, now_s)
        if seat is not None:
            try:
                return self._at_once.answer(seat, kind, payload, now_s, reason)
            finally:
                self._unpaused += 1
                if self._unpaused >= _PAUSE_EVERY:
                    # Else a caller that asks in a loop would never let the event loop go on.
                    self._unpaused = 0
                    await asyncio.sleep(0)
        request = Pending(
            kind,
            payload,
            lane.key(payload),
            rows,
            deadline_s,
            ask.priority,
            ask.tenant,
            ask.camera,
            now_s,
            self._loop.create_future(),
            reason,
        )
        try:
            dropped = self._dispatch.put(request)
        except Overloaded:
            self._metrics.refused(ask.tenant)
            raise
        if dropped is not None:
            self._delivery.made_room(dropped)
        if self._dispatch.has_to_ring and not self._ringing:
            self._ringing = True
            self._loop.call_soon(self._ring)
        self._in_flight += 1
        self._expiry.add(request, self._in_flight)
        try:
            await request.future
        except asyncio.CancelledError:
            self._dispatch.leave(request)
            self._metrics.dropped("cancelled")
            raise
        finally:
            self._in_flight -= 1
        answer: tuple[R, Ran] = request.future.result()
        return answer

    def fail_waiting(self, error: Exception) -> int:
        """Answer all that waits with an error, and go on; returns how many. On the event loop."""
        failed = self._dispatch.clear()
        for request in failed:
            self._delivery.fail(request, error)
        return len(failed)

    async def drain(self) -> None:
        """Finish what was accepted, then stop the threads and close the instances."""
        self._dispatch.close()
        try:
            await self._workers.join()
        finally:
            self._delivery.collect()
            for request in self._dispatch.abort():
                self._delivery.fail(request, Unavailable("the engine has stopped"))
            self._expiry.stop()
            self._delivery.settle()
            self._metrics.close()
            self._workers.close()

    def _ring(self) -> None:
        self._ringing = False
        self._dispatch.ring()

    def _expired(self, request: Pending) -> None:
        self._dispatch.leave(request)
        self._dispatch.late(request)
        self._metrics.dropped("expired")
        self._delivery.fail(request, DeadlineExceeded(TOO_LATE))
