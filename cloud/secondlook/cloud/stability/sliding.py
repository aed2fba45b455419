"""The last seconds of counters and histograms that only ever grow.

Nothing is counted for it: the window is the difference of two readings.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Sliding(Generic[Key]):
    """Readings of one window. For one thread.

    Args:
        window_s: its length, seconds.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, dict[Key, float]]] = deque()

    def put(self, now_s: float, reading: Mapping[Key, float]) -> None:
        """What the counters say now."""
        self._readings.append((now_s, dict(reading)))
        # The oldest that is kept is as old as the window, or a little older.
        while len(self._readings) > 2 and now_s - self._readings[1][0] >= self._window_s:
            self._readings.popleft()

    @property
    def seconds(self) -> float:
        """How long the window really is; 0 before the second reading."""
        return self._readings[-1][0] - self._readings[0][0] if self._readings else 0.0

    def grown(self) -> dict[Key, float]:
        """By how much each counter has grown in the window; one that began anew, since then."""
        if len(self._readings) < 2:
            return {}
        before, now = self._readings[0][1], self._readings[-1][1]
        grown = {}
        for key, value in now.items():
            since = before.get(key, 0.0)
            grown[key] = value - since if value >= since else value
        return grown

    def highest(self) -> dict[Key, float]:
        """The highest reading of each key in the window, for what goes up and down."""
        most: dict[Key, float] = {}
        for _, reading in self._readings:
            for key, value in reading.items():
                most[key] = max(value, most.get(key, value))
        return most


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float:
    """A quantile of a histogram, as Prometheus' ``histogram_quantile`` has it.

    Args:
        bounds: upper bounds of its buckets, growing, the last one infinite.
        counts: how many are at or below each bound.
        share: 0 to 1.

    Returns:
        The quantile, linear within its bucket; the highest finite bound where it is above that;
        NaN where nothing was counted.
    """
    total = counts[-1] if counts else 0.0
    if total <= 0:
        return math.nan
    rank = share * total
    place = next(place for place, count in enumerate(counts) if count >= rank)
    low = bounds[place - 1] if place else 0.0
    if math.isinf(bounds[place]):
        return low
    below = counts[place - 1] if place else 0.0
    inside = counts[place] - below
    return low + (bounds[place] - low) * ((rank - below) / inside if inside else 1.0)
