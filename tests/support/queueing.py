"""A model under load in virtual time: its schedule as it is, arrivals and device simulated.

A minute of load takes a second or two, and comes out the same whatever else the machine does.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.schedule import Schedule
from secondlook.cloud.engine.batching.seats import Seat
from secondlook.shared.errors import Overloaded
from support.batching import pending


@dataclass(frozen=True)
class Device:
    """How long batches take.

    Attributes:
        call_s: each batch, seconds.
        row_s: each of its rows.
        noise: standard deviation of the logarithm of what multiplies that.
        slow_every_s: mean time between two spells in which other work slows the device; 0: none.
        slow_for_s: mean length of a spell.
        slow_most: a spell takes from 1.2 to so many times longer.
        stall_share: share of the batches that something holds up.
        stall_s: mean time that it does.
    """

    call_s: float = 0.0
    row_s: float = 0.01
    noise: float = 0.0
    slow_every_s: float = 0.0
    slow_for_s: float = 0.5
    slow_most: float = 3.0
    stall_share: float = 0.0
    stall_s: float = 0.03

    def mean_s(self, rows: int) -> float:
        """Seconds of a batch that nothing holds up."""
        return self.call_s + self.row_s * rows


class _Run:
    """One device's time in one simulation."""

    def __init__(self, device: Device, seed: int) -> None:
        self._device = device
        self._rng = random.Random(f"device {seed}")
        self._next_s = self._until_s = 0.0
        self._slower = 1.0

    def seconds(self, rows: int, now_s: float) -> float:
        device, rng = self._device, self._rng
        seconds = device.mean_s(rows)
        if device.noise:
            seconds *= math.exp(rng.gauss(0, device.noise) - device.noise**2 / 2)
        if device.slow_every_s:
            while now_s >= self._next_s:
                self._until_s = self._next_s + rng.expovariate(1 / device.slow_for_s)
                self._next_s = self._until_s + rng.expovariate(1 / device.slow_every_s)
                self._slower = rng.uniform(1.2, device.slow_most)
            if now_s < self._until_s:
                seconds *= self._slower
        if rng.random() < device.stall_share:
            seconds += rng.expovariate(1 / device.stall_s)
        return seconds


@dataclass
class Heard:
    """What one of those who asked heard.

    Attributes:
        waits_s: to the answer, of those that came in time.
        late: let in, and not answered in time.
        refused: not let in.
    """

    waits_s: list[float] = field(default_factory=list)
    late: int = 0
    refused: int = 0

    def quantile_s(self, share: float) -> float:
        """Of the time to the answer of all that was let in; what came too late took for ever."""
        waits_s = [*sorted(self.waits_s), *[math.inf] * self.late]
        return waits_s[min(len(waits_s) - 1, int(share * len(waits_s)))]

    @property
    def late_share(self) -> float:
        """Of what was let in."""
        return self.late / max(1, self.late + len(self.waits_s))


@dataclass
class Played:
    """What became of a simulation.

    Attributes:
        heard: by name.
        seconds: how long arrivals lasted.
        capacity_per_s: rows a second that a device did while it ran.
        batches: how many, by size.
    """

    heard: dict[str, Heard]
    seconds: float
    capacity_per_s: float
    batches: dict[int, int]

    @property
    def all(self) -> Heard:
        """What all of them heard together."""
        total = Heard()
        for heard in self.heard.values():
            total.waits_s += heard.waits_s
            total.late += heard.late
            total.refused += heard.refused
        return total

    @property
    def per_s(self) -> float:
        """Answers in time, a second."""
        return len(self.all.waits_s) / self.seconds


def play(
    per_s: Mapping[str, float],
    device: Device,
    *,
    seconds: float = 30.0,
    allowed_s: float | Mapping[str, float] = 0.25,
    policy: Policy | None = None,
    cameras: bool = False,
    seed: int = 0,
) -> Played:
    """Random arrivals (Poisson) at one device.

    Args:
        per_s: questions of one row a second, by tenant.
        device: how long batches take.
        seconds: how long there are arrivals; then the queue runs empty.
        allowed_s: until the deadline; of all, or of each.
        policy: of the queue.
        cameras: the names are cameras of one tenant instead.
        seed: of arrivals and device.
    """
    seat = Seat()
    schedule = Schedule(policy or Policy(), [seat])
    times = _Run(device, seed)
    rng = random.Random(f"arrivals {seed}")
    events: list[tuple[float, int, Any]] = []
    for name, rate in per_s.items():
        at_s = rng.expovariate(rate)
        while at_s < seconds:
            events.append((at_s, len(events), name))
            at_s += rng.expovariate(rate)
    heapq.heapify(events)
    order = len(events)
    heard = {name: Heard() for name in per_s}
    batches: dict[int, int] = {}
    busy_s = 0.0

    def heard_by(request: Any) -> Heard:
        return heard[request.camera if cameras else request.tenant]

    def late(request: Any, now_s: float) -> None:
        heard_by(request).late += 1
        schedule.admission.late(request.tenant, now_s)

    while events:
        now_s, _, what = heapq.heappop(events)
        if isinstance(what, str):
            left_s = allowed_s if isinstance(allowed_s, float) else allowed_s[what]
            named = {"tenant": "t", "camera": what} if cameras else {"tenant": what}
            schedule.arrived(1, now_s)
            try:
                schedule.put(pending(deadline_s=now_s + left_s, queued_s=now_s, **named))
            except Overloaded:
                heard[what].refused += 1
        else:
            schedule.finished(seat, now_s)
            for request in what:
                if now_s <= request.deadline_s:
                    heard_by(request).waits_s.append(now_s - request.queued_s)
                else:
                    late(request, now_s)
        while not seat.rows and schedule.waiting:
            job = schedule.take(seat, now_s)
            for request in job.late:
                late(request, now_s)
            if job.batch:
                order += 1
                batches[seat.rows] = batches.get(seat.rows, 0) + 1
                took_s = times.seconds(seat.rows, now_s)
                busy_s += took_s
                heapq.heappush(events, (now_s + took_s, order, job.batch))
    rows = sum(size * count for size, count in batches.items())
    return Played(heard, seconds, rows / busy_s if busy_s else 0.0, batches)
