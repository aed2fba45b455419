"""Callers in a closed loop: each sends its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

Request = Callable[[], Awaitable[object]]
"""One request of one caller."""
Prepare = Callable[[int], Awaitable[list[Request]]]
"""Makes the requests of so many callers, one for each."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of callers got.

    Attributes:
        per_s: requests answered a second, all callers together.
        p50_ms: median latency.
        p95_ms: 95th percentile of the latency.
    """

    per_s: float
    p50_ms: float
    p95_ms: float


async def load(requests: list[Request], seconds: float) -> Load:
    """Let one caller repeat each of ``requests`` for a while."""
    latencies: list[float] = []
    started_s = time.perf_counter()
    until_s = started_s + seconds

    async def caller(request: Request) -> None:
        now_s = time.perf_counter()
        while now_s < until_s:
            await request()
            before_s, now_s = now_s, time.perf_counter()
            latencies.append(now_s - before_s)

    await asyncio.gather(*(caller(request) for request in requests))
    spent_s = time.perf_counter() - started_s
    p50, p95 = np.percentile(latencies, (50, 95))
    return Load(len(latencies) / spent_s, float(p50) * 1000, float(p95) * 1000)


async def compare(
    systems: Mapping[str, Prepare],
    callers: int,
    seconds: float,
    rounds: int,
) -> dict[str, Load]:
    """Load each system in turn, several times; the median round of each.

    Turns, so that a busy moment of the machine hurts all alike.

    Args:
        systems: name, and what makes the requests of so many callers.
        callers: how many at once.
        seconds: of each turn.
        rounds: turns of each system.
    """
    found: dict[str, list[Load]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, prepare in systems.items():
            found[name].append(await load(await prepare(callers), seconds))
    return {name: _median(loads) for name, loads in found.items()}


def _median(loads: list[Load]) -> Load:
    rows = [(one.per_s, one.p50_ms, one.p95_ms) for one in loads]
    per_s, p50_ms, p95_ms = np.median(np.array(rows), axis=0).tolist()
    return Load(per_s, p50_ms, p95_ms)
