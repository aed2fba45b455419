"""What a threshold needs in the long run: bytes and questions a second, smoothed."""

from __future__ import annotations

import math

_SMOOTHING_S = 30.0


class Demand:
    """Smoothed rates of what is added frame by frame."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._per_s = (0.0, 0.0)

    @property
    def per_s(self) -> tuple[float, float]:
        """Bytes and questions a second."""
        return self._per_s

    def add(self, size_bytes: float, questions: float, time_s: float) -> None:
        """A frame needs this much; ``time_s``: its stream time, which never goes back."""
        passed_s = 0.0 if self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        if passed_s <= 0:
            return
        weight = 1 - math.exp(-passed_s / _SMOOTHING_S)
        size, count = self._per_s
        self._per_s = (
            size + weight * (size_bytes / passed_s - size),
            count + weight * (questions / passed_s - count),
        )
