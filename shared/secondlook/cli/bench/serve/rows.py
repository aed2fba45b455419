"""What was measured of one contender in one part, and how two of them compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from secondlook.cli.bench.serve.callers import Turn


@dataclass(frozen=True, slots=True)
class Key:
    """What a row is of.

    Attributes:
        job: what was asked.
        server: who was asked.
        way: ``unary`` or ``stream``; empty for the loop, which nobody asks.
        callers: how many asked at once in that part.
    """

    job: str
    server: str
    way: str
    callers: int


@dataclass(slots=True)
class Row:
    """All turns of one contender in one part, in their order."""

    turns: list[Turn] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """Of the time of a request, milliseconds."""
        return 1000 * float(np.quantile([s for one in self.turns for s in one.seconds], share))

    @property
    def per_s(self) -> float:
        """Requests a second, median of the turns."""
        return median(one.per_s for one in self.turns)

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server for a request, milliseconds, median of the turns."""
        return median(one.cpu_ms for one in self.turns)

    @property
    def cores(self) -> tuple[float, ...]:
        """Cores that each process of the server kept busy, means of all turns."""
        took_s = sum(one.took_s for one in self.turns)
        each = zip(*(one.each_cpu_s for one in self.turns), strict=True)
        return tuple(sum(spent) / took_s for spent in each)

    def over(self, other: Row, value: Callable[[Turn], float]) -> float:
        """Median over the rounds of this row's value over the other's in the same round."""
        pairs = zip(self.turns, other.turns, strict=True)
        return median(value(mine) / value(theirs) for mine, theirs in pairs)
