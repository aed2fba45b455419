"""Between the event loop, which brings requests, and the threads of a model, which take them.

One lock guards everything here; it is held for microseconds. A thread that finds no work waits on
a bell of its own, and is woken by the request that it is to take: a busy device costs no wake-up.
"""

from __future__ import annotations

import threading

from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.rates import Quickness
from secondlook.cloud.engine.batching.schedule import Schedule
from secondlook.cloud.engine.batching.seats import Job, Seat
from secondlook.shared.clock import Clock
from secondlook.shared.errors import Unavailable


class Dispatch:
    """Every method may be called by any thread.

    Args:
        policy: the rules.
        instances: threads that will call `next`.
        clock: the clock of the deadlines.

    Attributes:
        seats: one for each thread.
        pace: how long batches take.
        admission: who is let in.
        quickness: whether answers on the event loop pay.
    """

    def __init__(self, policy: Policy, instances: int, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self.seats = [Seat() for _ in range(instances)]
        self._schedule = Schedule(policy, self.seats)
        self._idle: list[Seat] = []
        self._to_ring: list[Seat] = []
        self._closed = False
        self.pace = self._schedule.pace
        self.admission = self._schedule.admission
        self.quickness = Quickness()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        given = sum(seat.given is not None for seat in self.seats)
        return self._schedule.waiting + given

    @property
    def limit(self) -> int:
        """Most rows of a batch now."""
        return self._schedule.limit

    @limit.setter
    def limit(self, rows: int) -> None:
        self._schedule.limit = rows

    def arrivals_per_s(self) -> float:
        """Rows that were asked for, a second, let in or not."""
        return self._schedule.arrivals_per_s(self._clock.monotonic())

    def capacity_per_s(self) -> float:
        """Rows a second that the measured pace allows; 0 until something has run."""
        with self._lock:
            return self._schedule.capacity_per_s()

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
            schedule = self._schedule
            schedule.arrived(request.rows, request.queued_s)
            if self._idle and not schedule.waiting and not self._policy.max_queue_delay_s:
                # Nobody is before it and somebody is free: no order to find, nothing to refuse.
                seat = self._idle.pop()
                seat.given = request
                self._to_ring.append(seat)
                return None
            dropped = schedule.put(request)
            if self._idle:
                seat = self._idle[-1]
                if schedule.rows >= seat.wants or request.deadline_s <= seat.until_s:
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
            if self._closed or self._schedule.waiting or not self._idle:
                return None
            self._schedule.arrived(rows, now_s)
            return self._idle.pop()

    def release(self, seat: Seat) -> None:
        """Give a claimed seat back."""
        with self._lock:
            self._idle.append(seat)

    def leave(self, request: Pending) -> bool:
        """Nobody wants it any more. False where it is taken: it is then not run again."""
        with self._lock:
            if self._schedule.leave(request):
                return True
            request.state = State.GONE
            return False

    def next(self, seat: Seat) -> Job | None:
        """Wait for work; ``None`` once closed and empty."""
        with self._lock:
            schedule = self._schedule
            now_s = self._clock.monotonic()
            schedule.finished(seat, now_s)
            while True:
                pause_s: float | None = None
                if seat.given is not None:
                    job = self._given(seat, now_s)
                    if job is not None:
                        return job
                if schedule.waiting:
                    pause_s = 0.0 if self._closed else schedule.pause_s(seat, now_s)
                    if not pause_s:
                        job = schedule.take(seat, now_s)
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
                self._schedule.too_large(too_large, self._clock.monotonic())

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
            return [*given, *self._schedule.clear()]

    def abort(self) -> list[Pending]:
        """Close, and hand back what still waits."""
        self.close()
        return self.clear()

    def _given(self, seat: Seat, now_s: float) -> Job | None:
        """Run at once what the seat was given, unless it is gone or has company by now."""
        request, seat.given = seat.given, None
        assert request is not None
        if request.state is State.GONE:
            return None
        if self._schedule.waiting or request.deadline_s <= now_s:
            self._schedule.add(request)
            return None
        return self._schedule.take_alone(seat, request, now_s)

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
