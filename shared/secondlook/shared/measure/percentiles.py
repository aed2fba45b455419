"""Medians and tails of small samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the tail of a sample, in the sample's unit.

    Attributes:
        p50: the median; ``None`` of an empty sample.
        p95: the value that 95 % stay below; ``None`` of an empty sample.
    """

    p50: float | None
    p95: float | None


def spread(values: Sequence[float]) -> Spread:
    """Median and 95th percentile of ``values``, linear between neighbours."""
    if not values:
        return Spread(None, None)
    p50, p95 = np.percentile(np.asarray(values, np.float64), (50, 95))
    return Spread(float(p50), float(p95))
