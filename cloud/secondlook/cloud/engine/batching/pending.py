"""A request that waits for the device, or runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from secondlook.cloud.engine.asking import Priority

if TYPE_CHECKING:
    from secondlook.cloud.engine.batching.fairness import Camera, Tenant


class State(Enum):
    """Where a request is. It moves forward only, unless its batch has no room for it."""

    WAITING = "waiting"
    TAKEN = "taken"
    GONE = "gone"


@dataclass(eq=False, slots=True)
class Pending:
    """One request.

    Attributes:
        lane: the lane's kind.
        payload: what the lane takes; ``None`` as soon as nobody wants it any more.
        key: only requests of equal key share a batch.
        rows: how many rows of a batch it takes.
        deadline_s: when the answer stops being useful, monotonic seconds.
        priority: its class.
        tenant: who asks.
        camera: for which camera.
        queued_s: when it came, monotonic seconds.
        future: gets the answer; only its owner, the event loop, may touch it.
        reason: why this variant and version; travels into the answer.
        order: of arrival.
        state: guarded by the batcher's lock.
    """

    lane: Any
    payload: Any
    key: Hashable
    rows: int
    deadline_s: float
    priority: Priority
    tenant: str
    camera: str
    queued_s: float
    future: asyncio.Future[Any]
    reason: str = ""
    order: int = 0
    state: State = field(default=State.WAITING)
    by_tenant: Tenant | None = field(default=None, repr=False)
    by_camera: Camera | None = field(default=None, repr=False)
