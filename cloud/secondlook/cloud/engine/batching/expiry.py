"""One timer for all deadlines of a batcher."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from secondlook.cloud.engine.batching.pending import Pending
from secondlook.shared.clock import Clock

_SLACK = 64


class Expiry:
    """Calls back for requests whose deadline passes unanswered. On the event loop only.

    Args:
        expired: is told of each.
        clock: the clock of the deadlines.
    """

    def __init__(self, expired: Callable[[Pending], None], clock: Clock) -> None:
        self._expired = expired
        self._clock = clock
        self._heap: list[tuple[float, int, Pending]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._at_s = float("inf")
        self._added = 0

    def add(self, request: Pending, live: int) -> None:
        """Watch a request.

        Args:
            request: the request; one whose future is done is forgotten.
            live: requests that are watched and not done.
        """
        heap = self._heap
        if len(heap) > 2 * live + _SLACK:
            heap[:] = [entry for entry in heap if not entry[2].future.done()]
            heapq.heapify(heap)
        self._added += 1
        heapq.heappush(heap, (request.deadline_s, self._added, request))
        if request.deadline_s < self._at_s:
            self._arm(request.deadline_s)

    def stop(self) -> None:
        """Forget all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._at_s = float("inf")
        self._heap.clear()

    def _arm(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at_s = at_s
        self._timer = asyncio.get_running_loop().call_later(
            max(0.0, at_s - self._clock.monotonic()), self._fire
        )

    def _fire(self) -> None:
        self._timer = None
        self._at_s = float("inf")
        heap, now_s = self._heap, self._clock.monotonic()
        while heap:
            deadline_s, _, request = heap[0]
            if request.future.done():
                heapq.heappop(heap)
            elif deadline_s <= now_s:
                heapq.heappop(heap)
                self._expired(request)
            else:
                self._arm(deadline_s)
                return
