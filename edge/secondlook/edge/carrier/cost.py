"""What an amount of work will probably cost in bytes, learned from what such amounts have cost."""

from __future__ import annotations

import math

_MEMORY = 0.97
"""Weight of an update once the next one is known: about the last 30 count."""
_PRIOR = 3.0
"""How many updates what was assumed before is worth."""


class Cost:
    """Bytes as ``fixed + per unit x work``, fitted by weighted least squares as updates come.

    Args:
        fixed_bytes: cost of an update without any work, assumed at first.
        unit_bytes: cost of each unit of work, assumed at first.
    """

    def __init__(self, fixed_bytes: float, unit_bytes: float) -> None:
        self._fixed = fixed_bytes
        self._unit = unit_bytes
        self._least_unit = unit_bytes / 100
        # Sums of 1, n, n^2, bytes and n * bytes: two updates that were never sent stand for what
        # is assumed, one small and one large.
        self._sums = [0.0] * 5
        for work in (0.0, 40.0):
            self._add(work, fixed_bytes + unit_bytes * work, _PRIOR / 2 * _weight(work))

    def learn(self, work: float, size_bytes: int) -> None:
        """An update of so much work had this size."""
        self._sums = [value * _MEMORY for value in self._sums]
        self._add(work, float(size_bytes), _weight(work))
        weight, n, squares, size, products = self._sums
        spread = weight * squares - n * n
        if spread > 1e-6 * n * n:
            self._unit = max(self._least_unit, (weight * products - n * size) / spread)
        self._fixed = (size - self._unit * n) / weight
        if self._fixed < 0:
            # No update costs less than nothing: the best line is one through the origin.
            self._fixed, self._unit = 0.0, max(self._least_unit, products / squares)

    def of(self, work: float) -> int:
        """Bytes of an update of so much work, at least 1."""
        return max(1, round(self._fixed + self._unit * work))

    def _add(self, work: float, size_bytes: float, weight: float) -> None:
        terms = (1.0, work, work**2, size_bytes, work * size_bytes)
        self._sums = [value + weight * term for value, term in zip(self._sums, terms, strict=True)]


def _weight(work: float) -> float:
    """Errors count in proportion: one large update must not outweigh all small ones."""
    return math.pow(20.0 + work, -1.5)
