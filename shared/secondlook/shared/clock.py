"""Time as a thing to pass in: durations from the monotonic clock, dates from the wall."""

from __future__ import annotations

import time
from typing import Protocol

from secondlook.shared.light import light


class Clock(Protocol):
    """Both clocks of a process."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never jumps. For durations and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump. For people and records."""
        ...


class SystemClock:
    """The machine's clocks."""

    # Not wrapped: they are asked some ten times for each request.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class ManualClock:
    """A clock that moves when told: for tests and for replays faster than real time."""

    def __init__(self, monotonic_s: float = 1000.0, wall_s: float = 1_700_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._monotonic_s

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._wall_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._monotonic_s += seconds
        self._wall_s += seconds


@light
class Deadline:
    """A budget of time that shrinks through each wait.

    Attributes:
        at_s: when it ends, on the monotonic clock, seconds.
    """

    at_s: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """The deadline ``seconds`` from now."""
        return cls(clock.monotonic() + seconds)

    def remaining_s(self, clock: Clock) -> float:
        """Seconds left; never below 0."""
        return max(0.0, self.at_s - clock.monotonic())

    def expired(self, clock: Clock) -> bool:
        """Whether it has passed."""
        return clock.monotonic() >= self.at_s
