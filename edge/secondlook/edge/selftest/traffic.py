"""What a way sends a second, forgetting slowly."""

from __future__ import annotations

import math

_MEMORY_S = 300.0
"""After about this long what was sent no longer counts, seconds."""
_LEAST_S = 30.0
"""Over less time no rate is told, seconds."""


class Traffic:
    """Bytes over stream time, both weighted by how long ago they were."""

    def __init__(self) -> None:
        self._bytes = 0.0
        self._seconds = 0.0

    def passed(self, seconds: float) -> None:
        """Time in which this way was in force."""
        faded = math.exp(-seconds / _MEMORY_S)
        self._bytes *= faded
        self._seconds = self._seconds * faded + seconds

    def sent(self, size_bytes: float) -> None:
        """Something was sent."""
        self._bytes += size_bytes

    @property
    def per_s(self) -> float | None:
        """Bytes a second; ``None`` where it was watched too short a time."""
        return self._bytes / self._seconds if self._seconds >= _LEAST_S else None
