"""One tenant floods; what another sees of it. Queue, pace and admission on a clock of their own."""

from __future__ import annotations

import contextlib
import heapq
import random
from typing import Any

import pytest
from support.batching import pending

from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.cloud.engine.batching.policy import Policy
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import Overloaded

SERVICE_S = 0.01
ALLOWED_S = 0.5
SECONDS = 30.0
CALM = 1 / 3
"""Of what the device can do."""


class Heard:
    """What one tenant heard."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.refused = 0
        self.late = 0

    @property
    def p99_s(self) -> float:
        return sorted(self.waits_s)[int(0.99 * len(self.waits_s))]


def play(
    shares: dict[str, float], *, cameras: bool = False, max_queue: int = 1000
) -> dict[str, Heard]:
    """Random arrivals of each, as shares of what one thread can do.

    Args:
        shares: by tenant, or by camera of one tenant.
        cameras: they are cameras.
        max_queue: most requests that wait.
    """
    rng = random.Random(5)
    clock = ManualClock(0.0)
    dispatch = Dispatch(Policy(max_queue=max_queue), 1, clock)
    seat = dispatch.seats[0]
    events: list[tuple[float, int, Any]] = []
    for name, share in shares.items():
        at_s = 0.0
        while at_s < SECONDS:
            at_s += rng.expovariate(share / SERVICE_S)
            events.append((at_s, len(events), name))
    heapq.heapify(events)
    order = len(events)
    heard = {name: Heard() for name in shares}
    running: Pending | None = None
    while events:
        at_s, _, what = heapq.heappop(events)
        clock.advance(at_s - clock.monotonic())
        if isinstance(what, Pending):
            heard[what.camera if cameras else what.tenant].waits_s.append(at_s - what.queued_s)
            running = None
        else:
            named = {"tenant": "t", "camera": what} if cameras else {"tenant": what}
            request = pending(deadline_s=at_s + ALLOWED_S, queued_s=at_s, **named)
            heard[what].refused += 1
            with contextlib.suppress(Overloaded):
                dispatch.put(request)
                heard[what].refused -= 1
        while running is None and dispatch.waiting:
            job = dispatch.next(seat)
            assert job is not None
            for late in job.late:
                heard[late.camera if cameras else late.tenant].late += 1
                dispatch.late(late)
            if job.batch:
                (running,) = job.batch
                order += 1
                heapq.heappush(events, (clock.monotonic() + SERVICE_S, order, running))
    return heard


@pytest.mark.parametrize("cameras", [False, True], ids=["tenants", "cameras"])
@pytest.mark.parametrize("flood", [3.0, 20.0])
def test_a_flood_moves_anothers_p99_by_less_than_half(flood: float, cameras: bool) -> None:
    before = play({"calm": CALM, "neighbour": 0.5}, cameras=cameras)["calm"]
    heard = play({"calm": CALM, "neighbour": flood}, cameras=cameras)
    calm = heard["calm"]
    assert calm.refused == calm.late == 0
    assert calm.p99_s <= 1.5 * before.p99_s
    # And the flood has all that the calm one leaves.
    answered = len(heard["neighbour"].waits_s) * SERVICE_S / SECONDS
    assert answered > 0.97 * (1 - CALM)


def test_a_flood_does_not_fill_anothers_place_in_the_queue() -> None:
    heard = play({"calm": CALM, "neighbour": 20.0}, max_queue=32)
    assert heard["calm"].refused == 0


def test_ten_tenants_that_flood_share_evenly() -> None:
    heard = play({f"t{n}": 1.0 for n in range(10)})
    counts = [len(one.waits_s) for one in heard.values()]
    assert max(counts) < 1.1 * min(counts)
    assert sum(counts) * SERVICE_S / SECONDS > 0.97
    assert sum(one.late for one in heard.values()) < 0.01 * sum(counts)
