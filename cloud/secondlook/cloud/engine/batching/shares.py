"""Fair shares: whose turn it is among tenants, and among the cameras of a tenant.

The discipline is that of *earliest eligible virtual deadline first*, with real deadlines. Each
flow (a tenant, or a camera within its tenant) has a virtual start: how much it has been served
this busy period. Virtual time runs at the rate at which each of the active flows would be served
if all were served at once. A flow whose start lies not after virtual time has had no more than
its share and is eligible; among the eligible the earliest deadline goes first. A flow that asks
for more than its share waits for the others, and has the device to itself while nobody else wants
it. A flow that comes back from idleness begins at virtual time: it has saved nothing up.

Sources: Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First" (1995); Bennett and
Zhang, "Hierarchical packet fair queueing algorithms" (1996), for virtual time and the hierarchy.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from secondlook.cloud.engine.batching.pending import Pending, State

_SLACK = 64
"""Forgotten entries that are carried along before they are swept out."""


class Flow:
    """One of those who share."""

    __slots__ = ("active", "deadline_s", "place", "rows", "start", "waiting")

    def __init__(self) -> None:
        self.start = 0.0
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
        # (virtual start, place, flow) of those ahead of their share, and (deadline, place, flow) of
        # the others. An entry whose place is not its flow's is forgotten.
        self._ahead: list[tuple[float, int, F]] = []
        self._eligible: list[tuple[float, int, F]] = []
        self._places = 0
        self._active = 0
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
            flow.start += served
            if served > 0:
                self._virtual += served / max(1, self._active)
        if deadline_s is None:
            self._retire(flow)
            return
        if not flow.active:
            flow.active = True
            self._active += 1
            flow.start = max(flow.start, self._virtual)
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
                    heapq.heappush(eligible, (flow.deadline_s, place, flow))
                else:
                    break
            while eligible:
                _, place, flow = eligible[0]
                if flow.place == place:
                    return flow
                heapq.heappop(eligible)
            # All have had more than their share: time moves on to the one least ahead.
            self._virtual = ahead[0][0]

    def _put(self, flow: F) -> None:
        self._places += 1
        flow.place = self._places
        if flow.start <= self._virtual:
            heapq.heappush(self._eligible, (flow.deadline_s, flow.place, flow))
        else:
            heapq.heappush(self._ahead, (flow.start, flow.place, flow))
        if len(self._eligible) > 4 * self._active + _SLACK:
            self._eligible = [e for e in self._eligible if e[2].place == e[1]]
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
            self._sweep_at = _SLACK
            flow.start = 0.0

    def _forget(self) -> None:
        """Drop the flows that are idle and owe nothing."""
        self._flows = {
            name: flow
            for name, flow in self._flows.items()
            if flow.active or flow.start > self._virtual
        }
        self._sweep_at = 2 * len(self._flows) + _SLACK


class Camera(Flow):
    """The requests of one camera, most urgent first."""

    __slots__ = ("heap",)

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[tuple[float, int, Pending]] = []

    def head(self) -> Pending | None:
        """The most urgent one that waits."""
        heap = self.heap
        while heap:
            request = heap[0][2]
            if request.state is State.WAITING:
                return request
            heapq.heappop(heap)
        return None

    def urgency(self) -> float | None:
        """Its most urgent request's deadline."""
        head = self.head()
        return None if head is None else head.deadline_s


class Tenant(Flow):
    """The cameras of one tenant."""

    __slots__ = ("cameras",)

    def __init__(self) -> None:
        super().__init__()
        self.cameras: Shares[Camera] = Shares(Camera)

    def urgency(self) -> float | None:
        """The deadline of the request that is next among its cameras."""
        camera = self.cameras.next()
        return None if camera is None else camera.deadline_s


class FairQueue:
    """The waiting requests of one priority class. Not thread-safe: the batcher's lock guards it."""

    def __init__(self) -> None:
        self.tenants: Shares[Tenant] = Shares(Tenant)
        self.waiting = 0
        self.rows = 0

    def put(self, request: Pending, *, again: bool = False) -> None:
        """Let it wait; ``again``: it had been taken, and gives back what it was charged."""
        tenant = self.tenants.flow(request.tenant)
        camera = tenant.cameras.flow(request.camera)
        request.by_tenant, request.by_camera = tenant, camera
        request.state = State.WAITING
        heap = camera.heap
        heapq.heappush(heap, (request.deadline_s, request.order, request))
        if len(heap) > 2 * camera.waiting + _SLACK:
            camera.heap = [e for e in heap if e[2].state is State.WAITING]
            heapq.heapify(camera.heap)
        self._count(tenant, camera, 1, request.rows)
        self._update(tenant, camera, -request.rows if again else 0)

    def head(self) -> Pending | None:
        """The request whose turn it is."""
        tenant = self.tenants.next()
        camera = None if tenant is None else tenant.cameras.next()
        return None if camera is None else camera.head()

    def remove(self, request: Pending, to: State) -> None:
        """It waits no more; it is charged to its tenant and camera if it is taken."""
        tenant, camera = request.by_tenant, request.by_camera
        assert tenant is not None
        assert camera is not None
        request.state = to
        request.by_tenant = request.by_camera = None
        self._count(tenant, camera, -1, -request.rows)
        self._update(tenant, camera, request.rows if to is State.TAKEN else 0)

    def ahead_of(self, tenant_name: str, camera_name: str, rows: int) -> int:
        """Rows that are served before a newcomer is, if everybody gets fair shares.

        While the newcomer's camera is served its rows, each other camera of the tenant is served
        at most as many; and so among tenants.
        """
        tenant = self.tenants.known(tenant_name)
        own = rows
        if tenant is not None and tenant.active:
            camera = tenant.cameras.known(camera_name)
            mine = rows + (camera.rows if camera is not None and camera.active else 0)
            own = mine + sum(min(c.rows, mine) for c in tenant.cameras if c is not camera)
        others = sum(min(t.rows, own) for t in self.tenants if t is not tenant)
        return own - rows + others

    def _count(self, tenant: Tenant, camera: Camera, requests: int, rows: int) -> None:
        self.waiting += requests
        self.rows += rows
        tenant.waiting += requests
        tenant.rows += rows
        camera.waiting += requests
        camera.rows += rows

    def _update(self, tenant: Tenant, camera: Camera, served: int) -> None:
        tenant.cameras.update(camera, camera.urgency(), served)
        self.tenants.update(tenant, tenant.urgency(), served)
