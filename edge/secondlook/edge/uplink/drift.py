"""What was sent for questions that were given up, and may still pass the wire.

A question that times out while the link stands still is over, but its bytes are not: they lie in
the socket's buffer, and pass once the link is back, all of them at once. What pays for them stays
held until then, or the bucket would fill anew meanwhile, and both would pass together.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from secondlook.edge.uplink.waiting import Fare
from secondlook.shared.clock import Clock

LONGEST_S = 120.0
"""After this long what is on its way is taken to have passed, or never to pass: a connection on
which nothing is acknowledged is given up earlier, and so is what its system still holds for it."""

PROBE_EVERY_S = 5.0
"""How often a health check goes after it: once that is answered, so is all that went before."""


@dataclass(frozen=True, slots=True)
class _Loose:
    """What pays for a question that was given up, and when it was."""

    fare: Fare
    since_s: float


class Drift:
    """Fares of questions that were given up. Not safe for concurrent use.

    Args:
        clock: its monotonic clock tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loose: deque[_Loose] = deque()
        self._some = anyio.Event()

    def __len__(self) -> int:
        return len(self._loose)

    def put(self, fare: Fare) -> None:
        """A question was given up after it was sent."""
        self._loose.append(_Loose(fare, self._clock.monotonic()))
        self._some.set()

    def passed(self, sent_s: float) -> None:
        """What was sent at ``sent_s`` (monotonic) has its answer: so has passed all before it."""
        now_s = self._clock.monotonic()
        while self._loose:
            since_s = self._loose[0].since_s
            if sent_s < since_s and now_s < since_s + LONGEST_S:
                return
            self._loose.popleft().fare.close(now_s)

    def close(self) -> None:
        """Nothing is sent any more."""
        now_s = self._clock.monotonic()
        while self._loose:
            self._loose.popleft().fare.close(now_s)

    async def watch(self, answers: Callable[[], Awaitable[bool]]) -> None:
        """Until cancelled: where something is adrift, find out whether it has passed.

        Without it a bucket that is wholly held would let no question go whose answer could tell.

        Args:
            answers: sends a health check, which tells `passed`; says whether it was answered.
        """
        while True:
            self._some = anyio.Event()
            if not self._loose:
                await self._some.wait()
            await anyio.sleep(PROBE_EVERY_S)
            if self._loose and not await answers():
                # What is too old goes in any case.
                self.passed(-math.inf)
