"""Between the event loop, which brings requests, and the threads of a model, which take them.

One lock guards everything here; it is held for microseconds. A thread that finds no work waits on
a bell of its own, and is woken by the request that it is to take: a busy device costs no wake-up.
"""

from __future__ import annotations

import threading

from secondlook.cloud.engine.batching.admission import MOST_CAUTION, Admission
from secondlook.cloud.engine.batching.pace import Pace
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.queue import RequestQueue
from secondlook.cloud.engine.batching.rates import Arrivals, Ceiling, Quickness
from secondlook.cloud.engine.batching.seats import Job, Seat
from secondlook.cloud.engine.batching.waiting import worth_waiting
from secondlook.shared.clock import Clock
from secondlook.shared.errors import Overloaded, Unavailable


class Dispatch:
    """Every method may be called by any thread.

    Args:
        policy: the rules.
        instances: threads that will call `next`.
        clock: the clock of the deadlines.

    Attributes:
        seats: one for each thread.
        limit: most rows of a batch now.
    """

    def __init__(self, policy: Policy, instances: int, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._queue = RequestQueue(policy)
        self._idle: list[Seat] = []
        self._to_ring: list[Seat] = []
        self.seats = [Seat() for _ in range(instances)]
        self._closed = False
        self._arrivals = Arrivals()
        self._ceiling = Ceiling()
        self.pace = Pace(policy.max_batch, policy.preferred)
        self.admission = Admission(self.pace, instances)
        self.limit = policy.max_batch
        self.quickness = Quickness()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        given = sum(seat.given is not None for seat in self.seats)
        return self._queue.waiting + given

    def arrivals_per_s(self) -> float:
        """Rows that were asked for, a second, let in or not."""
        return self._arrivals.per_s(self._clock.monotonic())

    def capacity_per_s(self) -> float:
        """Rows a second that the measured pace allows; 0 until something has run."""
        with self._lock:
            rate = self.pace.rate(max(1, self.limit))
            return 0.0 if rate is None else rate * len(self.seats)

    def stuck_s(self) -> float:
        """How long the batch that has run longest has run."""
        now_s = self._clock.monotonic()
        return max((now_s - seat.since_s for seat in self.seats if seat.rows), default=0.0)

    def put(self, request: Pending) -> Pending | None:
        """Let a request wait. Returns the one dropped for it, if any.

        Raises:
            Overloaded: there is no room, or no chance that it is answered in time.
            Unavailable: closed.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("the engine is draining")
            now_s = request.queued_s
            self._arrivals.add(request.rows, now_s)
            if self._idle and not self._queue.waiting and not self._policy.max_queue_delay_s:
                # Nobody is before it and somebody is free: no order to find, nothing to refuse.
                seat = self._idle.pop()
                seat.given = request
                self._to_ring.append(seat)
                return None
            if self._policy.admission:
                self._admit(request, now_s)
            try:
                dropped = self._queue.put(request)
            except Overloaded as error:
                # When a part of the queue will have been served.
                error.retry_after_s = self.admission.relief_s(self._queue.rows // 4 + 1)
                raise
            if self._idle:
                seat = self._idle[-1]
                if self._queue.rows >= seat.wants or request.deadline_s <= seat.until_s:
                    self._to_ring.append(self._idle.pop())
            return dropped

    @property
    def has_to_ring(self) -> bool:
        """Whether `put` has found work for a thread that sleeps."""
        return bool(self._to_ring)

    def ring(self) -> None:
        """Wake the threads that `put` has found work for.

        Apart from `put`, so that whatever comes in one turn of the event loop runs together, and
        the thread wakes when the loop is about to let it run.
        """
        with self._lock:
            while self._to_ring:
                self._to_ring.pop().bell.release()

    def claim(self, rows: int, now_s: float) -> Seat | None:
        """An idle seat for a call on the event loop, if that is quicker than waking its thread.

        It is when one row has long been answered sooner than a thread wakes, nothing waits, and
        a seat is idle. Give it back with `release`.
        """
        if rows > 1 or not self.quickness.holds:
            return None
        with self._lock:
            if self._closed or self._queue.waiting or not self._idle:
                return None
            self._arrivals.add(rows, now_s)
            return self._idle.pop()

    def release(self, seat: Seat) -> None:
        """Give a claimed seat back."""
        with self._lock:
            self._idle.append(seat)

    def leave(self, request: Pending) -> bool:
        """Nobody wants it any more. False where it is taken: it is then not run again."""
        with self._lock:
            if request.by_camera is not None and self._queue.leave(request):
                return True
            request.state = State.GONE
            return False

    def next(self, seat: Seat) -> Job | None:
        """Wait for work; ``None`` once closed and empty."""
        with self._lock:
            now_s = self._clock.monotonic()
            if seat.rows:
                if seat.clean:
                    self.admission.ran(seat.expected_s, now_s - seat.since_s)
                    self.pace.record(seat.rows, now_s - seat.since_s)
                seat.rows, seat.clean = 0, True
            while True:
                pause_s: float | None = None
                if seat.given is not None:
                    job = self._given(seat, now_s)
                    if job is not None:
                        return job
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
                self._ceiling.too_large(too_large, self._clock.monotonic())

    def late(self, request: Pending) -> None:
        """An accepted request was not answered in time."""
        with self._lock:
            self.admission.late(request.tenant, self._clock.monotonic())

    def close(self) -> None:
        """Accept nothing more; what waits is still taken."""
        with self._lock:
            self._closed = True
            for seat in (*self._to_ring, *self._idle):
                seat.bell.release()
            self._to_ring.clear()
            self._idle.clear()

    def clear(self) -> list[Pending]:
        """Hand back what waits; it waits no more."""
        with self._lock:
            given = [seat.given for seat in self.seats if seat.given is not None]
            for request in given:
                request.state = State.GONE
            return [*given, *self._queue.clear()]

    def abort(self) -> list[Pending]:
        """Close, and hand back what still waits."""
        self.close()
        return self.clear()

    def _admit(self, request: Pending, now_s: float) -> None:
        left_s, rows = request.deadline_s - now_s, request.rows
        busy_s = self._busy_s(now_s)
        admission, queue = self.admission, self._queue
        if not queue.waiting and busy_s <= 0:
            # Nothing is in its way; and what is never let in is never measured again.
            return
        # The whole queue before it is the worst case, and needs no counting.
        worst_s = admission.predict_s(queue.rows, rows, busy_s)
        if worst_s is None or worst_s[0] * MOST_CAUTION + worst_s[1] <= left_s:
            return
        ahead = queue.rows_ahead(request.priority, request.tenant, request.camera, rows)
        predicted_s = admission.predict_s(ahead, rows, busy_s)
        assert predicted_s is not None
        admission.check(request.tenant, now_s, left_s, predicted_s)

    def _busy_s(self, now_s: float) -> float:
        """Until the first thread is free, as far as is known."""
        if self._idle:
            return 0.0
        return min(max(0.0, seat.since_s + seat.expected_s - now_s) for seat in self.seats)

    def _take(self, seat: Seat, now_s: float) -> Job:
        pace, queue = self.pace, self._queue
        head = queue.head(now_s)
        slack_s = None if head is None else max(0.0, head.deadline_s - now_s)
        size = pace.size(queue.rows, self._ceiling.under(self.limit, now_s), slack_s)
        known_s = pace.seconds(size) or 0.0
        batch, late = queue.take(size, now_s, urgent_s=2 * known_s, least_s=pace.least_s(1))
        if batch:
            self._run(seat, sum(request.rows for request in batch), now_s)
        return Job(batch, late, now_s)

    def _given(self, seat: Seat, now_s: float) -> Job | None:
        """Run at once what the seat was given, unless it is gone or has company by now."""
        request, seat.given = seat.given, None
        assert request is not None
        if request.state is State.GONE:
            return None
        if self._queue.waiting or request.deadline_s <= now_s:
            self._queue.add(request)
            return None
        request.state = State.TAKEN
        self._run(seat, request.rows, now_s)
        return Job([request], [], now_s)

    def _run(self, seat: Seat, rows: int, now_s: float) -> None:
        seat.rows, seat.since_s = rows, now_s
        seat.expected_s = self.pace.seconds(rows) or 0.0

    def _pause_s(self, seat: Seat, now_s: float) -> float:
        """How long to wait for a fuller batch; 0: not at all. See `Policy.max_queue_delay_s`."""
        policy, rows = self._policy, self._queue.rows
        limit = self._ceiling.under(self.limit, now_s)
        if policy.max_queue_delay_s <= 0 or rows >= limit:
            return 0.0
        head = self._queue.head(now_s)
        assert head is not None
        left_s = head.queued_s + policy.max_queue_delay_s - now_s
        expected = int(self._arrivals.per_s(now_s) * max(0.0, left_s))
        target = worth_waiting(self.pace, rows, limit, policy.preferred, expected)
        if not target:
            return 0.0
        margin_s = 2 * (self.pace.seconds(target) or 0.0)
        pause_s = max(0.0, min(left_s, head.deadline_s - now_s - margin_s))
        seat.wants, seat.until_s = target, now_s + pause_s + margin_s
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
