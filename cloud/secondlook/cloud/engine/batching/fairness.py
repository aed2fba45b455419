"""The waiting requests of one priority class, in fair shares of tenants and of their cameras."""

from __future__ import annotations

import heapq

from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.shares import Flow, Shares

_SLACK = 64
"""Forgotten entries that are carried along before they are swept out."""


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

        While the newcomer's camera is served its rows, other cameras of the tenant are served
        theirs; and so among tenants.
        """
        tenant = self.tenants.known(tenant_name)
        own = rows
        if tenant is not None and tenant.active:
            camera = tenant.cameras.known(camera_name)
            mine = rows + (camera.rows if camera is not None else 0)
            own = tenant.cameras.served_meanwhile(camera, mine)
        return self.tenants.served_meanwhile(tenant, own) - rows

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
