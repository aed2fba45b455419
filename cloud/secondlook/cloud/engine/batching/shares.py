"""Fair shares: whose turn it is among tenants, and among the cameras of a tenant.

The discipline is that of *earliest eligible virtual deadline first*, with real deadlines. Each
flow (a tenant, or a camera within its tenant) has a virtual start: how much it has been served
this busy period. Virtual time runs at the rate at which each of the active flows would be served
if all were served at once. A flow whose start lies not after virtual time has had no more than
its share and is eligible; among the eligible the earliest deadline goes first. A flow that asks
for more than its share waits for the others, and has the device to itself while nobody else wants
it.

A flow that comes back from idleness has saved up what it was not served of its share meanwhile, but
no more than `CREDIT` rows: so much it is *owed*. Those who are owed go before those who are not.
Who asks for less than its share in bursts thus waits for what runs and for its own burst, not for a
row of a flood after each of its own. A repaid row was lent to the others while virtual time ran,
which therefore stands still for it.

Sources: Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First" (1995); Bennett and
Zhang, "Hierarchical packet fair queueing algorithms" (1996), for virtual time and the hierarchy;
RFC 8290 (2018), for queues that are empty most of the time going first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

CREDIT = 8
"""Rows that a flow may save up at most."""

USUAL_ROWS = 64
"""How many flows are usually active is averaged over so many rows."""

_SLACK = 64
"""Forgotten entries that are carried along before they are swept out."""


class Flow:
    """One of those who share.

    Attributes:
        active: something of it waits.
        waiting: requests that wait.
        rows: of them.
        start: rows that it was served this busy period, and those it has let pass.
        owed: rows that it has saved up and may have now before others.
        deadline_s: of its most urgent request.
        place: of its entry in the order; 0: it has none.
    """

    __slots__ = ("active", "deadline_s", "owed", "place", "rows", "start", "waiting")

    def __init__(self) -> None:
        self.start = 0.0
        self.owed = 0.0
        self.deadline_s = 0.0
        self.place = 0
        self.active = False
        self.waiting = 0
        self.rows = 0


F = TypeVar("F", bound=Flow)


class Shares(Generic[F]):
    """The flows that share one thing evenly.

    Args:
        create: makes a flow that has not been seen in this busy period.
    """

    def __init__(self, create: Callable[[], F]) -> None:
        self._create = create
        self._flows: dict[str, F] = {}
        self._virtual = 0.0
        # (virtual start, place, flow) of those ahead of their share, and (whether it is owed
        # nothing, deadline, place, flow) of the others. An entry whose place is not its flow's is
        # forgotten.
        self._ahead: list[tuple[float, int, F]] = []
        self._eligible: list[tuple[bool, float, int, F]] = []
        self._places = 0
        self._active = 0
        self._usual = 0.0
        self._sweep_at = _SLACK

    def __iter__(self) -> Iterator[F]:
        return (flow for flow in self._flows.values() if flow.active)

    def flow(self, name: str) -> F:
        """The flow of that name."""
        flow = self._flows.get(name)
        if flow is None:
            if len(self._flows) >= self._sweep_at:
                self._forget()
            flow = self._flows[name] = self._create()
            # It has saved nothing up: else names that are always new would starve the others.
            flow.start = self._virtual
        return flow

    def known(self, name: str) -> F | None:
        """The flow of that name if it has been seen in this busy period."""
        return self._flows.get(name)

    def update(self, flow: F, deadline_s: float | None, served: int = 0) -> None:
        """Something of a flow has come, gone or been served.

        Args:
            flow: the flow.
            deadline_s: of its most urgent request now; ``None``: nothing waits.
            served: rows that it was served (below 0: given back).
        """
        if served:
            self._charge(flow, served)
        if deadline_s is None:
            self._retire(flow)
            return
        if not flow.active:
            flow.active = True
            self._active += 1
            flow.start = max(flow.start, self._virtual - CREDIT)
            flow.owed = max(0.0, self._virtual - flow.start)
        elif not served and flow.deadline_s == deadline_s:
            return
        flow.deadline_s = deadline_s
        self._put(flow)

    def next(self) -> F | None:
        """Whose turn it is."""
        if not self._active:
            return None
        ahead, eligible = self._ahead, self._eligible
        while True:
            while ahead:
                start, place, flow = ahead[0]
                if flow.place != place:
                    heapq.heappop(ahead)
                elif start <= self._virtual:
                    heapq.heappop(ahead)
                    heapq.heappush(eligible, (True, flow.deadline_s, place, flow))
                else:
                    break
            while eligible:
                _, _, place, flow = eligible[0]
                if flow.place == place:
                    return flow
                heapq.heappop(eligible)
            # All have had more than their share: time moves on to the one least ahead.
            self._virtual = ahead[0][0]

    def served_meanwhile(self, flow: F | None, rows: int) -> int:
        """Rows of all that are served until ``rows`` of one flow have been, at most.

        Meanwhile each other flow is served what it has waiting, at most as many rows. Others may
        come: as many flows as there usually are share with it.

        Args:
            flow: that flow; ``None``: one that is not active.
            rows: what it will have waiting.
        """
        others = sum(min(other.rows, rows) for other in self if other is not flow)
        return max(rows + others, int(rows * self._usual))

    def _charge(self, flow: F, rows: int) -> None:
        flow.start += rows
        if rows < 0:
            if flow.owed > 0:
                flow.owed -= rows
            return
        self._usual += (self._active - self._usual) * min(1.0, rows / USUAL_ROWS)
        repaid = min(flow.owed, rows)
        flow.owed -= repaid
        self._virtual += (rows - repaid) / max(1, self._active)

    def _put(self, flow: F) -> None:
        self._places += 1
        flow.place = self._places
        if flow.start <= self._virtual:
            heapq.heappush(self._eligible, (flow.owed <= 0, flow.deadline_s, flow.place, flow))
        else:
            heapq.heappush(self._ahead, (flow.start, flow.place, flow))
        if len(self._eligible) > 4 * self._active + _SLACK:
            self._eligible = [e for e in self._eligible if e[3].place == e[2]]
            heapq.heapify(self._eligible)
        if len(self._ahead) > 4 * self._active + _SLACK:
            self._ahead = [e for e in self._ahead if e[2].place == e[1]]
            heapq.heapify(self._ahead)

    def _retire(self, flow: F) -> None:
        if not flow.active:
            return
        flow.active = False
        flow.place = 0
        self._active -= 1
        if not self._active:
            # The busy period is over: nobody owes anybody anything.
            self._flows.clear()
            self._ahead.clear()
            self._eligible.clear()
            self._virtual = 0.0
            self._usual = 0.0
            self._sweep_at = _SLACK
            flow.start = flow.owed = 0.0

    def _forget(self) -> None:
        """Drop the flows that are idle and have saved up all that they may."""
        self._flows = {
            name: flow
            for name, flow in self._flows.items()
            if flow.active or flow.start > self._virtual - CREDIT
        }
        self._sweep_at = 2 * len(self._flows) + _SLACK
