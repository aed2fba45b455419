"""The bounded queue in front of a model: earliest deadline first, taken from by one thread."""

from __future__ import annotations

import asyncio
import heapq
import threading
from dataclasses import dataclass, field
from enum import Enum

from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import Overloaded, Unavailable
from secondlook.shared.values import Detections

Answer = tuple[Detections, float, float]
"""Detections, seconds waited, seconds in the network."""


class Overflow(str, Enum):
    """What a full queue does with one request more."""

    REJECT = "reject"
    """The newcomer is refused with `Overloaded`."""

    DROP_OLDEST = "drop_oldest"
    """The request that has waited longest is refused with `Overloaded`, the newcomer waits."""


class State(Enum):
    """Where a request is. It moves forward only."""

    WAITING = "waiting"
    TAKEN = "taken"
    GONE = "gone"


@dataclass(eq=False, slots=True)
class Pending:
    """A request that waits, or runs.

    Attributes:
        image: uint8 (h, w, 3) BGR.
        min_score: boxes below are not wanted.
        deadline: when the answer stops being useful.
        queued_s: when it came, monotonic seconds.
        future: gets the answer; only its owner, the event loop, may touch it.
        state: guarded by the queue's lock.
    """

    image: Image
    min_score: float
    deadline: Deadline
    queued_s: float
    future: asyncio.Future[Answer]
    state: State = field(default=State.WAITING)


class DeadlineQueue:
    """Requests by deadline, at most ``bound`` of them. Every method may be called by any thread.

    A request that its caller gives up leaves at once: it frees its place and is never taken.
    """

    def __init__(self, bound: int, overflow: Overflow, clock: Clock) -> None:
        self._bound = bound
        self._overflow = overflow
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        # (deadline, order of arrival, request); requests given up stay until they surface or
        # until they outnumber the others.
        self._heap: list[tuple[float, int, Pending]] = []
        self._arrivals = 0
        self._waiting = 0
        self._closed = False

    def __len__(self) -> int:
        return self._waiting

    def put(self, request: Pending) -> Pending | None:
        """Queue a request. Returns the one dropped for it, if any.

        Raises:
            Overloaded: the queue is full and its policy is to reject.
            Unavailable: the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("the engine is draining")
            dropped = None
            if self._waiting >= self._bound:
                if self._overflow is Overflow.REJECT:
                    raise Overloaded(f"{self._bound} requests are waiting for the model")
                dropped = self._oldest()
                self._leave(dropped)
            self._arrivals += 1
            heapq.heappush(self._heap, (request.deadline.at_s, self._arrivals, request))
            self._waiting += 1
            self._changed.notify()
            return dropped

    def give_up(self, request: Pending) -> None:
        """The caller is gone: free the place. Does nothing once the request is taken."""
        with self._changed:
            if request.state is State.WAITING:
                self._leave(request)
                if len(self._heap) > 2 * self._bound:
                    self._heap = [e for e in self._heap if e[2].state is State.WAITING]
                    heapq.heapify(self._heap)

    def take(self, limit: int, linger_s: float = 0.0) -> tuple[list[Pending], list[Pending]] | None:
        """Wait for work: up to ``limit`` requests, the most urgent first, and those too late.

        Args:
            limit: most requests in one batch.
            linger_s: how long to wait for a fuller batch once there is work; 0 takes what is there.

        Returns:
            The batch and the expired (never both empty), or ``None`` once closed and empty.
        """
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._waiting and linger_s > 0:
                    self._changed.wait_for(lambda: self._waiting >= limit or self._closed, linger_s)
                batch, expired = self._pop(limit)
                if batch or expired:
                    return batch, expired
                if self._closed:
                    return None

    def close(self) -> None:
        """Accept nothing more; what waits is still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> list[Pending]:
        """Close, and hand back what still waits."""
        with self._changed:
            self._closed = True
            left = [entry[2] for entry in self._heap if entry[2].state is State.WAITING]
            for request in left:
                request.state = State.GONE
            self._heap.clear()
            self._waiting = 0
            self._changed.notify_all()
            return left

    def _pop(self, limit: int) -> tuple[list[Pending], list[Pending]]:
        batch: list[Pending] = []
        expired: list[Pending] = []
        now_s = self._clock.monotonic()
        while self._heap and len(batch) < limit:
            request = heapq.heappop(self._heap)[2]
            if request.state is not State.WAITING:
                continue
            request.state = State.TAKEN
            self._waiting -= 1
            (expired if request.deadline.at_s <= now_s else batch).append(request)
        return batch, expired

    def _oldest(self) -> Pending:
        return min((e for e in self._heap if e[2].state is State.WAITING), key=lambda e: e[1])[2]

    def _leave(self, request: Pending) -> None:
        request.state = State.GONE
        self._waiting -= 1
