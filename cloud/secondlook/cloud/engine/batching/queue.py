"""The bounded queue in front of a model: who goes next, who makes room, who is too late.

Classes are strict: an escalation goes before an audit before learning, but for what keeps the
lower ones alive. A request of a lower class that has waited long, or whose deadline is near, is
*due*; due requests get one row for every `DUE_EVERY` of the classes above. Within a class
the order is that of `secondlook.cloud.engine.batching.shares`.
"""

from __future__ import annotations

import heapq
from collections import deque

from secondlook.cloud.engine.asking import Priority
from secondlook.cloud.engine.batching.fairness import FairQueue
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Overflow, Policy
from secondlook.shared.errors import Overloaded

DUE_EVERY = 10
"""Due requests of lower classes get one row for so many of the classes above."""

SKIPS = 16
"""Requests that do not fit a batch that are passed over before it runs without them."""

_SLACK = 64


class RequestQueue:
    """Not thread-safe: the batcher's lock guards it. Times are monotonic seconds.

    Args:
        policy: bounds, overflow, patience.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._classes = [FairQueue() for _ in Priority]
        # Of each class but the first, in order of arrival and of deadline; forgotten entries are
        # those that do not wait any more.
        self._arrived: list[deque[Pending]] = [deque() for _ in Priority]
        self._deadlines: list[list[tuple[float, int, Pending]]] = [[] for _ in Priority]
        self._by_tenant: dict[str, int] = {}
        self._order = 0
        self._credit = DUE_EVERY
        self.waiting = 0
        self.rows = 0

    def put(self, request: Pending) -> Pending | None:
        """Let a request wait. Returns the one dropped for it, if any.

        Raises:
            Overloaded: there is no room for it.
        """
        policy = self._policy
        if policy.max_per_tenant:
            mine = self._by_tenant.get(request.tenant, 0)
            if mine >= policy.max_per_tenant:
                raise Overloaded(f"{mine} requests of this tenant are waiting for the model")
        dropped = None
        if self.waiting >= policy.max_queue:
            dropped = self._victim(request)
            if dropped is None:
                raise Overloaded(f"{self.waiting} requests are waiting for the model")
            self.leave(dropped)
        self.add(request)
        return dropped

    def add(self, request: Pending) -> None:
        """Let a request wait, whatever the bounds say."""
        self._order += 1
        request.order = self._order
        self._classes[request.priority].put(request)
        self._count(request, 1)
        if request.priority:
            self._remember(request)

    def leave(self, request: Pending) -> bool:
        """Nobody wants it any more: free its place. False, and nothing, once it is taken."""
        if request.state is not State.WAITING:
            return False
        self._classes[request.priority].remove(request, State.GONE)
        self._count(request, -1)
        request.payload = None
        return True

    def head(self, now_s: float, urgent_s: float = 0.0) -> Pending | None:
        """The request that is next, without taking it."""
        due = self._due(now_s, urgent_s) if self._credit >= DUE_EVERY else None
        if due is not None:
            return due
        for queue in self._classes:
            if queue.waiting:
                return queue.head()
        return None

    def take(
        self, limit: int, now_s: float, *, urgent_s: float = 0.0, least_s: float = 0.0
    ) -> tuple[list[Pending], list[Pending]]:
        """Take one batch: the next request, and those after it that go with it.

        Args:
            limit: most rows of the batch; a first request that has more goes alone.
            now_s: the time.
            urgent_s: a deadline nearer than this makes a request of a lower class due.
            least_s: what does not have at least so long is too late.

        Returns:
            The batch, and what was found too late on the way.
        """
        batch: list[Pending] = []
        late: list[Pending] = []
        passed: list[Pending] = []
        room = limit
        while room > 0 and len(passed) < SKIPS:
            request = self.head(now_s, urgent_s)
            if request is None:
                break
            if request.deadline_s <= now_s + least_s:
                self._classes[request.priority].remove(request, State.GONE)
                self._count(request, -1)
                late.append(request)
                continue
            self._take(request)
            if not batch or (
                request.rows <= room
                and request.key == batch[0].key
                and request.lane is batch[0].lane
            ):
                room -= request.rows
                batch.append(request)
            else:
                passed.append(request)
        for request in passed:
            self._give_back(request)
        return batch, late

    def rows_ahead(self, priority: Priority, tenant: str, camera: str, rows: int) -> int:
        """Rows that are served before a newcomer would be, at most; see `FairQueue.ahead_of`."""
        higher = sum(self._classes[above].rows for above in range(priority))
        return higher + self._classes[priority].ahead_of(tenant, camera, rows)

    def clear(self) -> list[Pending]:
        """Empty it, and hand back what waited."""
        left = []
        for queue in self._classes:
            while (request := queue.head()) is not None:
                queue.remove(request, State.GONE)
                self._count(request, -1)
                left.append(request)
        return left

    def _take(self, request: Pending) -> None:
        if request.priority and any(q.waiting for q in self._classes[: request.priority]):
            self._credit -= DUE_EVERY * request.rows
        elif self._credit < DUE_EVERY and self.waiting > self._classes[request.priority].waiting:
            self._credit = min(DUE_EVERY, self._credit + request.rows)
        self._classes[request.priority].remove(request, State.TAKEN)
        self._count(request, -1)

    def _give_back(self, request: Pending) -> None:
        self._classes[request.priority].put(request, again=True)
        self._count(request, 1)
        if request.priority:
            self._remember(request)

    def _count(self, request: Pending, sign: int) -> None:
        self.waiting += sign
        self.rows += sign * request.rows
        left = self._by_tenant.get(request.tenant, 0) + sign
        if left:
            self._by_tenant[request.tenant] = left
        else:
            del self._by_tenant[request.tenant]

    def _remember(self, request: Pending) -> None:
        """Keep a request of a lower class by arrival and by deadline, to see when it is due."""
        arrived = self._arrived[request.priority]
        deadlines = self._deadlines[request.priority]
        arrived.append(request)
        heapq.heappush(deadlines, (request.deadline_s, request.order, request))
        if len(arrived) > 2 * self._classes[request.priority].waiting + _SLACK:
            kept = sorted(
                {r.order: r for r in arrived if r.state is State.WAITING}.values(),
                key=lambda r: r.order,
            )
            self._arrived[request.priority] = deque(kept)
            self._deadlines[request.priority] = [(r.deadline_s, r.order, r) for r in kept]
            heapq.heapify(self._deadlines[request.priority])

    def _due(self, now_s: float, urgent_s: float) -> Pending | None:
        """The most urgent due request of a lower class, where a higher class waits."""
        above = self._classes[0].waiting
        for level in range(1, len(self._classes)):
            waiting = self._classes[level].waiting
            if above and waiting:
                deadlines = self._deadlines[level]
                while deadlines[0][2].state is not State.WAITING:
                    heapq.heappop(deadlines)
                if deadlines[0][0] <= now_s + urgent_s:
                    return deadlines[0][2]
                arrived = self._arrived[level]
                while arrived[0].state is not State.WAITING:
                    arrived.popleft()
                if now_s - arrived[0].queued_s >= self._policy.patience_s:
                    return arrived[0]
            above += waiting
        return None

    def _victim(self, newcomer: Pending) -> Pending | None:
        """Who makes room: of the lowest class the tenant, and its camera, that fill the most."""
        level = max(level for level, queue in enumerate(self._classes) if queue.waiting)
        if level < newcomer.priority:
            return None
        oldest = self._policy.overflow is Overflow.DROP_OLDEST
        queue = self._classes[level]
        tenant = max(queue.tenants, key=lambda flow: flow.waiting)
        camera = max(tenant.cameras, key=lambda flow: flow.waiting)
        if level == newcomer.priority and not oldest:
            mine = queue.tenants.known(newcomer.tenant)
            if mine is tenant:
                own = tenant.cameras.known(newcomer.camera)
                fills, most = (own.waiting if own else 0), camera.waiting
            else:
                fills, most = (mine.waiting if mine else 0), tenant.waiting
            if fills + 1 >= most:
                return None
        waiting = [entry[2] for entry in camera.heap if entry[2].state is State.WAITING]
        return (min if oldest else max)(waiting, key=lambda request: request.order)
