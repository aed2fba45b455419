"""What a number of blocks will probably cost, learned from what such numbers have cost."""

from __future__ import annotations

_MEMORY = 0.97
"""Weight of an update once the next one is known: about the last 30 count."""
_PRIOR = 3.0
"""How many updates what was assumed before is worth."""


class Cost:
    """Bytes as ``fixed + per block x blocks``, fitted by weighted least squares as updates come.

    Args:
        fixed_bytes: cost of an update of no blocks, assumed at first.
        block_bytes: cost of each block, assumed at first.
    """

    def __init__(self, fixed_bytes: float, block_bytes: float) -> None:
        self._fixed = fixed_bytes
        self._block = block_bytes
        self._least_block = block_bytes / 100
        # Sums of 1, n, n^2, bytes and n * bytes: two updates that were never sent stand for what
        # is assumed, one small and one large.
        self._sums = [0.0] * 5
        for blocks in (0, 40):
            self._add(blocks, fixed_bytes + block_bytes * blocks, _PRIOR / 2)

    def learn(self, blocks: int, size_bytes: int) -> None:
        """An update of so many blocks had this size."""
        self._sums = [value * _MEMORY for value in self._sums]
        self._add(blocks, float(size_bytes), 1.0)
        weight, n, squares, size, products = self._sums
        spread = weight * squares - n * n
        if spread > 1e-6 * max(1.0, n * n):
            self._block = max(self._least_block, (weight * products - n * size) / spread)
        self._fixed = (size - self._block * n) / weight
        if self._fixed < 0:
            # No update costs less than nothing: the best line is one through the origin.
            self._fixed, self._block = 0.0, max(self._least_block, products / squares)

    def of(self, blocks: int) -> int:
        """Bytes of an update of so many blocks, at least 1."""
        return max(1, round(self._fixed + self._block * blocks))

    def _add(self, blocks: int, size_bytes: float, weight: float) -> None:
        terms = (1.0, float(blocks), float(blocks) ** 2, size_bytes, blocks * size_bytes)
        self._sums = [value + weight * term for value, term in zip(self._sums, terms, strict=True)]
