"""Between the event loop, which brings requests, and the threads of a model, which take them.

One lock guards everything here; it is held for microseconds. A thread that finds no work waits on
a bell of its own, and is woken by the request that it is to take: a busy device costs no wake-up.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from secondlook.cloud.engine.batching.admission import Admission
from secondlook.cloud.engine.batching.pace import Pace
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.queue import RequestQueue
from secondlook.shared.clock import Clock
from secondlook.shared.errors import Overloaded, Unavailable

RATE_OVER_S = 1.0
"""Arrivals are averaged over so long."""

WAIT_WORTH = 1.1
"""An idle device waits for a batch that gives so many times more rows a second."""

SPARE_S = 60.0
"""After a batch that was too large for the device, larger ones are not tried for so long."""


class Seat:
    """One thread's place: what it runs, and its bell.

    Attributes:
        rows: of the batch that it runs; 0: none.
        since_s: when it was taken.
        expected_s: how long it should take.
        clean: whether its duration teaches anything: nothing failed in it.
        wants: rows that the thread waits for.
        until_s: how long it waits for them; a deadline before that ends the wait.
        bell: held while nobody rings.
    """

    __slots__ = ("bell", "clean", "expected_s", "rows", "since_s", "until_s", "wants")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.rows = 0
        self.since_s = 0.0
        self.expected_s = 0.0
        self.clean = True
        self.wants = 1
        self.until_s = math.inf


@dataclass(slots=True)
class Job:
    """What a thread is to run: a batch, possibly empty, and those that are too late."""

    batch: list[Pending]
    late: list[Pending]
    taken_s: float


class Dispatch:
    """Every method may be called by any thread.

    Args:
        policy: the rules.
        instances: threads that will call `next`.
        clock: the clock of the deadlines.
    """

    def __init__(self, policy: Policy, instances: int, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._queue = RequestQueue(policy)
        self._idle: list[Seat] = []
        self._seats = [Seat() for _ in range(instances)]
        self._closed = False
        self._arrivals = 0.0
        self._arrived_s = 0.0
        self._spare: tuple[int, float] | None = None
        self.pace = Pace(policy.max_batch, policy.preferred)
        self.admission = Admission(self.pace, instances)
        self.limit = policy.max_batch

    @property
    def seats(self) -> list[Seat]:
        """One for each thread."""
        return self._seats

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._queue.waiting

    def arrivals_per_s(self) -> float:
        """Rows that were asked for, a second, let in or not."""
        return self._arrivals * math.exp((self._arrived_s - self._clock.monotonic()) / RATE_OVER_S)

    def capacity_per_s(self) -> float:
        """Rows a second that the measured pace allows; 0 until something has run."""
        with self._lock:
            rate = self.pace.rate(max(1, self.limit))
            return 0.0 if rate is None else rate * len(self._seats)

    def stuck_s(self) -> float:
        """How long the batch that has run longest has run."""
        now_s = self._clock.monotonic()
        return max((now_s - seat.since_s for seat in self._seats if seat.rows), default=0.0)

    def put(self, request: Pending) -> Pending | None:
        """Let a request wait. Returns the one dropped for it, if any.

        Raises:
            Overloaded: there is no room, or no chance that it is answered in time.
            Unavailable: closed.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the engine is draining")
            now_s, rows = request.queued_s, request.rows
            self._arrivals = (
                self._arrivals * math.exp(min(0.0, self._arrived_s - now_s) / RATE_OVER_S)
                + rows / RATE_OVER_S
            )
            self._arrived_s = now_s
            if self._policy.admission:
                self._admit(request, now_s)
            try:
                dropped = self._queue.put(request)
            except Overloaded as error:
                error.retry_after_s = self._relief_s()
                raise
            if self._idle:
                seat = self._idle[-1]
                if self._queue.rows >= seat.wants or request.deadline_s <= seat.until_s:
                    self._idle.pop().bell.release()
            return dropped

    def leave(self, request: Pending) -> bool:
        """Nobody wants it any more. False where it is taken: it is then not run again."""
        with self._lock:
            if self._queue.leave(request):
                return True
            request.state = State.GONE
            return False

    def next(self, seat: Seat) -> Job | None:
        """Wait for work; ``None`` once closed and empty."""
        with self._lock:
            now_s = self._clock.monotonic()
            if seat.rows:
                if seat.clean:
                    self.pace.record(seat.rows, now_s - seat.since_s)
                seat.rows, seat.clean = 0, True
            while True:
                pause_s: float | None = None
                if self._queue.waiting:
                    pause_s = 0.0 if self._closed else self._pause_s(seat, now_s)
                    if not pause_s:
                        job = self._take(seat, now_s)
                        if job.batch or job.late:
                            return job
                        continue
                elif self._closed:
                    return None
                else:
                    seat.wants = 1
                self._sleep(seat, pause_s)
                now_s = self._clock.monotonic()

    def spoiled(self, seat: Seat, too_large: int = 0) -> None:
        """Something failed in what the thread runs.

        Args:
            seat: the thread's.
            too_large: rows of a batch that failed while both its halves did not; 0: none.
        """
        with self._lock:
            seat.clean = False
            if too_large > 1:
                self._spare = too_large // 2, self._clock.monotonic() + SPARE_S

    def answered(self, in_time: int, late: int) -> None:
        """So many accepted requests were answered in time, so many too late."""
        with self._lock:
            self.admission.answered(in_time, late)

    def close(self) -> None:
        """Accept nothing more; what waits is still taken."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().bell.release()

    def clear(self) -> list[Pending]:
        """Hand back what waits; it waits no more."""
        with self._lock:
            return self._queue.clear()

    def abort(self) -> list[Pending]:
        """Close, and hand back what still waits."""
        self.close()
        return self.clear()

    def _admit(self, request: Pending, now_s: float) -> None:
        left_s = request.deadline_s - now_s
        busy_s = self._busy_s(now_s)
        admission, rows = self.admission, request.rows
        # The whole queue before it is the worst case, and needs no counting.
        worst_s = admission.predict_s(self._queue.rows, rows, busy_s)
        if worst_s is None or worst_s * admission.margin <= left_s:
            return
        ahead = self._queue.rows_ahead(request.priority, request.tenant, request.camera, rows)
        admission.check(left_s, ahead, rows, busy_s)

    def _relief_s(self) -> float | None:
        """When a full queue has room for some more."""
        return self.admission.predict_s(max(1, self._queue.rows // 4), 1, 0.0)

    def _busy_s(self, now_s: float) -> float:
        """Until the first thread is free, as far as is known."""
        if self._idle:
            return 0.0
        return min(max(0.0, seat.since_s + seat.expected_s - now_s) for seat in self._seats)

    def _ceiling(self, now_s: float) -> int:
        limit = min(self.limit, self._policy.max_batch)
        if self._spare is not None:
            rows, until_s = self._spare
            if now_s < until_s:
                return max(1, min(limit, rows))
            self._spare = None
        return max(1, limit)

    def _take(self, seat: Seat, now_s: float) -> Job:
        pace, queue = self.pace, self._queue
        head = queue.head(now_s)
        slack_s = None if head is None else max(0.0, head.deadline_s - now_s)
        size = pace.size(queue.rows, self._ceiling(now_s), slack_s)
        known_s = pace.seconds(size) or 0.0
        batch, late = queue.take(size, now_s, urgent_s=2 * known_s, least_s=pace.least_s(1))
        if batch:
            seat.rows = sum(request.rows for request in batch)
            seat.since_s = now_s
            seat.expected_s = pace.seconds(seat.rows) or 0.0
        return Job(batch, late, now_s)

    def _pause_s(self, seat: Seat, now_s: float) -> float:
        """How long to wait for a fuller batch; 0: not at all. See `Policy.max_queue_delay_s`."""
        delay_s, queue = self._policy.max_queue_delay_s, self._queue
        if delay_s <= 0:
            return 0.0
        rows, limit = queue.rows, self._ceiling(now_s)
        if rows >= limit or rows in self._policy.preferred:
            return 0.0
        head = queue.head(now_s)
        assert head is not None
        left_s = head.queued_s + delay_s - now_s
        target = next((size for size in self._policy.preferred if size > rows), limit)
        target = min(target, limit, rows + int(self._arrivals * max(0.0, left_s)))
        if target <= rows:
            return 0.0
        now_takes_s, then_takes_s = self.pace.seconds(rows), self.pace.seconds(target)
        if now_takes_s is None or then_takes_s is None:
            return 0.0
        if target * now_takes_s < WAIT_WORTH * rows * then_takes_s:
            return 0.0
        pause_s = max(0.0, min(left_s, head.deadline_s - now_s - 2 * then_takes_s))
        seat.wants, seat.until_s = target, now_s + pause_s + 2 * then_takes_s
        return pause_s

    def _sleep(self, seat: Seat, seconds: float | None) -> None:
        """Wait for the bell, without the lock."""
        self._idle.append(seat)
        self._lock.release()
        try:
            rung = seat.bell.acquire(timeout=-1 if seconds is None else seconds)
        finally:
            self._lock.acquire()
        if rung:
            return
        if seat in self._idle:
            self._idle.remove(seat)
        else:
            # It was rung while the time ran out.
            seat.bell.acquire()
