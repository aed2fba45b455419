"""What a model lets in, what it runs next, and what together: no lock, no thread, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from secondlook.cloud.engine.batching.admission import MOST_CAUTION, Admission
from secondlook.cloud.engine.batching.pace import Pace
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.queue import RequestQueue
from secondlook.cloud.engine.batching.rates import Arrivals, Ceiling
from secondlook.cloud.engine.batching.seats import Job, Seat
from secondlook.cloud.engine.batching.waiting import worth_waiting
from secondlook.shared.errors import Overloaded


class Schedule:
    """Not thread-safe: the lock of `Dispatch` guards it. Times are monotonic seconds.

    Args:
        policy: the rules.
        seats: the places of the threads.

    Attributes:
        pace: how long batches take.
        admission: who is let in.
        limit: most rows of a batch now.
    """

    def __init__(self, policy: Policy, seats: Sequence[Seat]) -> None:
        self._policy = policy
        self._seats = seats
        self._queue = RequestQueue(policy)
        self._arrivals = Arrivals()
        self._ceiling = Ceiling()
        self.pace = Pace(policy.max_batch, policy.preferred)
        self.admission = Admission(self.pace, len(seats))
        self.limit = policy.max_batch

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._queue.waiting

    @property
    def rows(self) -> int:
        """Rows of them."""
        return self._queue.rows

    def arrived(self, rows: int, now_s: float) -> None:
        """So many rows were asked for, whether or not they are let in."""
        self._arrivals.add(rows, now_s)

    def arrivals_per_s(self, now_s: float) -> float:
        """Rows that were asked for, a second."""
        return self._arrivals.per_s(now_s)

    def capacity_per_s(self) -> float:
        """Rows a second that the measured pace allows; 0 until something has run."""
        rate = self.pace.rate(max(1, self.limit))
        return 0.0 if rate is None else rate * len(self._seats)

    def put(self, request: Pending) -> Pending | None:
        """Let a newcomer wait. Returns the one dropped for it, if any.

        Raises:
            Overloaded: there is no room, or no chance that it is answered in time.
        """
        if self._policy.admission:
            self._admit(request, request.queued_s)
        try:
            return self._queue.put(request)
        except Overloaded as error:
            # When a part of the queue will have been served.
            error.retry_after_s = self.admission.relief_s(self._queue.rows // 4 + 1)
            raise

    def add(self, request: Pending) -> None:
        """Let a request wait that has been let in."""
        self._queue.add(request)

    def leave(self, request: Pending) -> bool:
        """Nobody wants it any more. False where it does not wait."""
        return request.by_camera is not None and self._queue.leave(request)

    def clear(self) -> list[Pending]:
        """Hand back what waits; it waits no more."""
        return self._queue.clear()

    def take(self, seat: Seat, now_s: float) -> Job:
        """What a free thread is to run: nothing, where all that waits is too late."""
        pace, queue = self.pace, self._queue
        head = queue.head(now_s)
        slack_s = None if head is None else max(0.0, head.deadline_s - now_s)
        size = pace.size(queue.rows, self._ceiling.under(self.limit, now_s), slack_s)
        known_s = pace.seconds(size) or 0.0
        batch, late = queue.take(size, now_s, urgent_s=2 * known_s, least_s=pace.least_s(1))
        if batch:
            self._begin(seat, sum(request.rows for request in batch), now_s)
        return Job(batch, late, now_s)

    def take_alone(self, seat: Seat, request: Pending, now_s: float) -> Job:
        """Have one request run at once; it never waited."""
        request.state = State.TAKEN
        self._begin(seat, request.rows, now_s)
        return Job([request], [], now_s)

    def finished(self, seat: Seat, now_s: float) -> None:
        """The thread is free again."""
        if not seat.rows:
            return
        if seat.clean:
            self.admission.ran(seat.expected_s, now_s - seat.since_s)
            self.pace.record(seat.rows, now_s - seat.since_s)
        seat.rows, seat.clean = 0, True

    def too_large(self, rows: int, now_s: float) -> None:
        """A batch of so many rows failed, and both its halves did not."""
        self._ceiling.too_large(rows, now_s)

    def pause_s(self, seat: Seat, now_s: float) -> float:
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

    def _begin(self, seat: Seat, rows: int, now_s: float) -> None:
        seat.rows, seat.since_s = rows, now_s
        seat.expected_s = self.pace.seconds(rows) or 0.0

    def _admit(self, request: Pending, now_s: float) -> None:
        left_s, rows = request.deadline_s - now_s, request.rows
        busy_s = min(seat.busy_s(now_s) for seat in self._seats)
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
