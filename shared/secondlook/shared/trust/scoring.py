"""An audit in one number: the lowest risk among the objects that an answer missed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.geometry import coverage
from secondlook.shared.measure import match
from secondlook.shared.values import Detections

COVERED = 0.8
"""Least share of an object's area inside a region that shows it."""


def lowest_risk(
    published: Detections,
    heavy: Detections,
    regions: npt.NDArray[np.float32],
    risks: npt.NDArray[np.float64],
    *,
    covered: float = COVERED,
) -> float:
    """Score an audited frame.

    Args:
        published: the answer as it would have stood had nothing on this frame been asked.
        heavy: what the heavy model sees in the whole frame; those objects that count.
        regions: float32 (n, 4), x1 y1 x2 y2, pixels of the native frame: what would be sent of each
            candidate, had it been asked about.
        risks: float64 (n,), 0 to 1, of the candidates.
        covered: least share of an object's area inside a region that shows it.

    Returns:
        For each object without a published box of its class and an IoU from 0.5 on, the highest
        risk of the regions that show it, 0 where none does; the lowest of these. Infinite where no
        object is missed.

    Raises:
        InvalidInput: regions and risks differ in length, or a risk is not from 0 to 1.
    """
    if regions.shape != (len(risks), 4) or risks.shape != (len(regions),):
        raise InvalidInput(f"{regions.shape} regions and {risks.shape} risks")
    if not ((risks >= 0) & (risks <= 1)).all():
        raise InvalidInput("risks: numbers from 0 to 1 expected")
    missed = heavy.boxes[match(published, heavy).missed]
    if not len(missed):
        return math.inf
    if not len(risks):
        return 0.0
    shown = coverage(missed, regions.astype(np.float32)) >= covered
    # The first region that is asked about shows it: the one of the highest risk.
    return float(np.where(shown, risks[None, :], 0.0).max(axis=1).min())
