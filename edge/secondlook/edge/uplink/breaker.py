"""Stops asking a cloud that fails, and finds out with small probes when it may be asked again."""

from __future__ import annotations

import random
from collections import deque
from enum import Enum

from secondlook.edge.uplink.settings import BreakerSettings


class BreakerState(str, Enum):
    """Whether questions may be asked."""

    CLOSED = "closed"
    """They may."""

    OPEN = "open"
    """They may not, for a while."""

    PROBING = "probing"
    """They may not; small probes go out."""


class Breaker:
    """Counts outcomes and decides. No I/O; time is passed in, monotonic seconds.

    Args:
        settings: its thresholds.
        draw: for the jitter.
    """

    def __init__(self, settings: BreakerSettings, draw: random.Random) -> None:
        self._settings = settings
        self._draw = draw
        self._calls: deque[tuple[float, bool]] = deque()
        self._tries = 0
        self._closed_s: float | None = None
        self._good = 0
        self.state = BreakerState.CLOSED
        self.opened = 0
        self.probe_at_s = 0.0

    @property
    def admits(self) -> bool:
        """Whether a question may be asked."""
        return self.state is BreakerState.CLOSED

    def record(self, ok: bool, took_s: float, now_s: float) -> None:
        """A question has come to its end. What began before the breaker opened is not counted."""
        settings = self._settings
        if not settings.enabled or self.state is not BreakerState.CLOSED:
            return
        self._calls.append((now_s, not ok or took_s >= settings.slow_s))
        # A clock that went back would keep old calls for ever: those of the future go too.
        while self._calls and not 0 <= now_s - self._calls[0][0] <= settings.window_s:
            self._calls.popleft()
        bad = sum(bad for _, bad in self._calls)
        if len(self._calls) >= settings.min_calls and bad >= settings.bad_ratio * len(self._calls):
            if self._closed_s is None or now_s - self._closed_s > settings.open_max_s:
                self._tries = 0
            self._open(now_s)

    def probe(self, now_s: float) -> bool:
        """Whether a probe is to be sent now."""
        if self.state is BreakerState.OPEN and now_s >= self.probe_at_s:
            self.state = BreakerState.PROBING
            self._good = 0
        return self.state is BreakerState.PROBING

    def hurry(self, now_s: float) -> None:
        """There is reason to hope: the next probe need not wait."""
        self.probe_at_s = min(self.probe_at_s, now_s)

    def probed(self, ok: bool, now_s: float) -> None:
        """What became of a probe."""
        if self.state is not BreakerState.PROBING:
            return
        if not ok:
            self._open(now_s)
            return
        self._good += 1
        if self._good >= self._settings.probes:
            self.state = BreakerState.CLOSED
            self._closed_s = now_s
            self._calls.clear()

    def _open(self, now_s: float) -> None:
        settings = self._settings
        pause_s = min(settings.open_max_s, settings.open_s * 2.0 ** min(self._tries, 30))
        pause_s *= self._draw.uniform(1 - settings.jitter, 1 + settings.jitter)
        self._tries += 1
        self.opened += 1
        self._calls.clear()
        self.probe_at_s = now_s + pause_s
        self.state = BreakerState.OPEN
