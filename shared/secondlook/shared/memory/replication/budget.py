"""How many bytes a second may pass: an account that fills with time and is paid from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from secondlook.shared.clock import Clock

SHORTEST_S = 0.001
"""Below this a wait might not move the clock at all."""


class ByteBudget:
    """A token bucket that an answer may overdraw: it is weighed after it came.

    Over any long time no more than ``bytes_per_s`` pass. What is sent, and no larger than the
    burst, never overdraws it: over any ``t`` seconds at most ``bytes_per_s * t + burst_bytes``.

    Args:
        bytes_per_s: what flows in; 0: no limit.
        burst_bytes: most that can be saved up; the account starts full.
        clock: its monotonic clock tells the time that passed.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        bytes_per_s: float,
        burst_bytes: float,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._rate = bytes_per_s
        self._burst = burst_bytes
        self._clock = clock
        self._sleep = sleep
        self._balance = burst_bytes
        self._at_s = clock.monotonic()

    async def ready(self, size_bytes: int = 0) -> None:
        """Return when so many bytes are there, or the account is as full as it gets."""
        if self._rate == 0:
            return
        wanted = min(float(size_bytes), self._burst)
        self._fill()
        while self._balance < wanted:
            await self._sleep(max(SHORTEST_S, (wanted - self._balance) / self._rate))
            self._fill()

    def spend(self, size_bytes: int) -> None:
        """So many bytes have passed, or are about to."""
        if self._rate:
            self._fill()
            self._balance -= size_bytes

    def _fill(self) -> None:
        now_s = self._clock.monotonic()
        earned = (now_s - self._at_s) * self._rate
        self._balance = min(self._burst, self._balance + earned)
        self._at_s = now_s
