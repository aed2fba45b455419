from __future__ import annotations

import asyncio

import anyio
import pytest
from support.batching import pending

from secondlook.cloud.engine.batching.expiry import Expiry
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.shared.clock import SystemClock

pytestmark = pytest.mark.anyio


def due(seconds: float) -> Pending:
    request = pending(deadline_s=SystemClock().monotonic() + seconds)
    request.future = asyncio.get_running_loop().create_future()
    return request


class Told:
    """Who expired, in order."""

    def __init__(self) -> None:
        self.requests: list[Pending] = []
        self.changed = asyncio.Event()
        self.expiry = Expiry(self._tell, SystemClock())

    def _tell(self, request: Pending) -> None:
        self.requests.append(request)
        request.future.cancel()
        self.changed.set()

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.requests) < count:
                await self.changed.wait()
                self.changed.clear()


async def test_each_expires_at_its_own_time_whatever_the_order_of_arrival() -> None:
    told = Told()
    last, first, second = due(0.06), due(0.02), due(0.04)
    for n, request in enumerate((last, first, second)):
        told.expiry.add(request, n + 1)
    await told.until(3)
    assert told.requests == [first, second, last]


async def test_what_is_done_does_not_expire() -> None:
    told = Told()
    done, late = due(0.01), due(0.03)
    told.expiry.add(done, 1)
    told.expiry.add(late, 2)
    done.future.set_result(None)
    await told.until(1)
    assert told.requests == [late]


async def test_one_timer_serves_all_and_what_is_done_is_not_kept() -> None:
    told = Told()
    timers = set()
    for n in range(5000):
        request = due(3600 + n)
        told.expiry.add(request, 1)
        timers.add(id(told.expiry._timer))
        request.future.set_result(None)
    assert len(timers) == 1
    assert len(told.expiry._heap) < 200
    told.expiry.stop()
    assert told.expiry._timer is None
