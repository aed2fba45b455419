"""The states of a breaker, and what moves it from one to another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BreakerState(str, Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    """They do."""

    HALF_OPEN = "half_open"
    """A few do, and show whether all may."""

    OPEN = "open"
    """None does, for a while."""


class Ending(str, Enum):
    """How a call ended."""

    GOOD = "good"
    FAILED = "failed"
    NEUTRAL = "neutral"
    """It says nothing about the backend: the question was wrong, or its caller went away."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state.

    Attributes:
        at_s: when, monotonic seconds.
        before: the state before.
        after: the state after.
        why: the reason, for people.
        pause_s: how long no call goes through; 0 unless it opened.
    """

    at_s: float
    before: BreakerState
    after: BreakerState
    why: str
    pause_s: float = 0.0

    def __str__(self) -> str:
        pause = f"; next probe in {self.pause_s:.2f} s" if self.pause_s else ""
        return f"{self.at_s:.2f} s: {self.before.value} -> {self.after.value}: {self.why}{pause}"
