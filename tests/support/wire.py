"""A proxy that hurts and remembers when how much went up, and questions about that."""

from __future__ import annotations

import time
from bisect import bisect_right
from itertools import accumulate

from secondlook.shared.measure import Direction
from support.proxy import FaultProxy


class TimedProxy(FaultProxy):
    """A `FaultProxy` with a timeline of what went from the client to the server.

    Attributes:
        up: when (monotonic seconds) how many bytes of TCP payload passed, set-up included.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.up: list[tuple[float, int]] = []

    async def passed(self, direction: Direction, data: bytes) -> bytes:
        data = await super().passed(direction, data)
        if direction is Direction.UP:
            self.up.append((time.monotonic(), len(data)))
        return data

    def most_in(self, window_s: float, since_s: float = 0.0) -> int:
        """Most bytes that passed in any window of that length which begins after ``since_s``."""
        events = [event for event in self.up if event[0] >= since_s]
        times = [at for at, _ in events]
        sums = [0, *accumulate(size for _, size in events)]
        return max(
            (
                sums[bisect_right(times, begin + window_s)] - sums[index]
                for index, begin in enumerate(times)
            ),
            default=0,
        )
