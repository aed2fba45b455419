"""How calls went, window by window, and what a call usually takes."""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum

from secondlook.cloud.stability.settings import BreakerSettings

STRETCH = 10
"""A window that has too few calls goes on for at most so many of its lengths."""
LEARN = 0.2
"""How much of a good window goes into the usual time."""
CONCEDE = 1.25
"""What stays slow becomes usual by this factor a round of probes: no backend is cut for ever."""


class Bad(str, Enum):
    """What is wrong with a call."""

    FAILED = "failed"
    SLOW = "slow"
    HUNG = "hung"


class Windows:
    """Counts calls, and bad windows in a row. Time is passed in, monotonic seconds.

    A window begins with the first call that ends in it, or with a call that hangs. It is judged
    when its time is over and it has enough calls, or none at all while one hangs; with too few it
    goes on, and is forgotten in the end: what is so old says nothing about now.

    Args:
        settings: its length, and its limits.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._since_s: float | None = None
        self._ended = 0
        self._bad: Counter[Bad] = Counter()
        self.streak = 0
        self.why = ""

    @property
    def ends_s(self) -> float | None:
        """When the window is over, if there is one."""
        return None if self._since_s is None else self._since_s + self._settings.window_s

    def add(self, bad: Bad | None, now_s: float) -> None:
        """A call has ended."""
        if self._since_s is None:
            self._since_s = now_s
        self._ended += 1
        if bad is not None:
            self._bad[bad] += 1

    def roll(self, now_s: float, hung: int) -> list[bool]:
        """Judge the windows that are over.

        Args:
            now_s: now.
            hung: calls that are under way for too long.

        Returns:
            For each, whether it was good.
        """
        judged = []
        if self._since_s is None and hung:
            self._since_s = now_s
        length_s = self._settings.window_s
        while (since_s := self._since_s) is not None and now_s - since_s >= length_s:
            calls = self._ended + hung
            if calls >= self._settings.min_calls or (hung and not self._ended):
                judged.append(self._judge(calls, hung))
                self._begin(since_s + length_s if hung else None)
            elif now_s - since_s >= STRETCH * length_s:
                self.reset()
            else:
                break
        return judged

    def reset(self) -> None:
        """Forget everything."""
        self.streak = 0
        self._begin(None)

    def _begin(self, since_s: float | None) -> None:
        self._since_s = since_s
        self._ended = 0
        self._bad.clear()

    def _judge(self, calls: int, hung: int) -> bool:
        bad = self._bad + Counter({Bad.HUNG: hung})
        wrong = sum(bad.values())
        if wrong < self._settings.bad_ratio * calls:
            self.streak = 0
            return True
        self.streak += 1
        ((most, _),) = bad.most_common(1)
        self.why = f"{wrong} of {calls} calls bad in the last window, mostly {most.value}"
        return False


class Usual:
    """The usual time of a call, by its rows (in powers of two)."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._mean_s: dict[int, float] = {}
        self._new: dict[int, list[float]] = {}

    def slow(self, rows: int, took_s: float) -> bool:
        """Whether a call was slow."""
        settings = self._settings
        if settings.slow_s and took_s >= settings.slow_s:
            return True
        if not settings.slow_ratio or took_s < settings.slow_least_s:
            return False
        return took_s > settings.slow_ratio * self._mean_s.get(rows.bit_length(), math.inf)

    def saw(self, rows: int, took_s: float) -> None:
        """A call that was neither slow nor failed."""
        seen = self._new.get(rows.bit_length())
        if seen is None:
            seen = self._new[rows.bit_length()] = [0, 0.0]
        seen[0] += 1
        seen[1] += took_s

    def learn(self) -> None:
        """The window was good: what was seen in it is usual. Too few calls wait for the next."""
        for rows, (count, total_s) in list(self._new.items()):
            if count < self._settings.min_calls:
                continue
            seen_s = total_s / count
            known_s = self._mean_s.get(rows, seen_s)
            self._mean_s[rows] = known_s + LEARN * (seen_s - known_s)
            del self._new[rows]

    def concede(self) -> None:
        """Probes were slow once more: perhaps that is how it is now."""
        self._mean_s = {rows: mean_s * CONCEDE for rows, mean_s in self._mean_s.items()}
