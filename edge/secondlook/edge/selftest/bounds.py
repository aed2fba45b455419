"""What a mean of numbers from 0 to 1 can be, given those that were seen. Pure.

Both sides take the better of two bounds that hold for any numbers in [0, 1], each at half of the
allowed probability of error:

- Hoeffding in its tight form, ``n KL(mean, bound) = ln(2/d)``: exact where nothing was seen;
- empirical Bernstein (Maurer and Pontil 2009), better where the numbers vary little::

      mean + sqrt(2 v ln(4/d) / n) + 7 ln(4/d) / (3 (n - 1))        v: variance of the sample
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secondlook.shared.memory.kinds.mode import Tally

_HALVINGS = 40


@dataclass(slots=True)
class Mean:
    """Numbers from 0 to 1, summed up.

    Attributes:
        count: how many.
        total: their sum.
        squares: the sum of their squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, tally: Tally) -> Mean:
        """From a record."""
        return cls(tally.count, tally.total, tally.squares)

    def tally(self) -> Tally:
        """For a record."""
        return Tally(count=self.count, total=self.total, squares=self.squares)

    def add(self, value: float) -> None:
        """One number more."""
        self.count += 1
        self.total += value
        self.squares += value * value

    def join(self, other: Mean) -> None:
        """All numbers of another."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    @property
    def value(self) -> float:
        """The mean; 0 of none."""
        return self.total / self.count if self.count else 0.0

    def upper(self, delta: float) -> float:
        """The true mean is at most this, but for a probability of ``delta``."""
        return _upper(self.count, self.value, self._variance(), delta)

    def lower(self, delta: float) -> float:
        """The true mean is at least this, but for a probability of ``delta``."""
        if not self.count:
            return 0.0
        return 1.0 - _upper(self.count, 1.0 - self.value, self._variance(), delta)

    def _variance(self) -> float:
        """Of the sample."""
        n = self.count
        if n < 2:
            return 0.25
        return max(0.0, (self.squares - self.total * self.total / n) / (n - 1))


def _upper(n: int, mean: float, variance: float, delta: float) -> float:
    if n < 2:
        return 1.0
    mean = min(1.0, max(0.0, mean))
    log = math.log(4.0 / delta)
    bernstein = mean + math.sqrt(2.0 * variance * log / n) + 7.0 * log / (3.0 * (n - 1))
    return min(1.0, bernstein, _hoeffding(n, mean, math.log(2.0 / delta)))


def _hoeffding(n: int, mean: float, log: float) -> float:
    """The largest number from which ``mean`` is no further than ``log / n``, in divergence."""
    low, high = mean, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if n * _divergence(mean, middle) <= log:
            low = middle
        else:
            high = middle
    return high


def _divergence(a: float, b: float) -> float:
    """Of two coins, in nats."""
    if b >= 1.0:
        return 0.0 if a >= 1.0 else math.inf
    first = a * math.log(a / b) if a > 0 else 0.0
    second = (1 - a) * math.log((1 - a) / (1 - b)) if a < 1 else 0.0
    return first + second


@dataclass(frozen=True, slots=True)
class Range:
    """A number as it is estimated, and between which it is, but for a small probability."""

    low: float
    value: float
    high: float


def difference(gained: Mean, lost: Mean, delta: float) -> Range:
    """The mean of ``gained`` less that of ``lost``, which are of the same audits.

    Each side takes half of ``delta``, and each of the two means half of that. To bound what was
    gained and what was lost by themselves is far better than to bound the difference: where
    nothing is ever lost nothing is given away for it.
    """
    share = delta / 4
    return Range(
        gained.lower(share) - lost.upper(share),
        gained.value - lost.value,
        gained.upper(share) - lost.lower(share),
    )
