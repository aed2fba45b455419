"""A threshold that follows the losses of audits: fast, and without a promise."""

from __future__ import annotations

import math

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.bounds import check_probability, check_share


class ThresholdTracker:
    """Lowers τ by γ(1 - α)/q at a loss, raises it by γα/q at an audit without one.

    Where losses come at rate α the steps cancel out. Used where no certificate stands.

    Args:
        start: first threshold, 0 to 1.
        alpha: promised rate.
        gamma: size of a step.

    Raises:
        InvalidInput: an argument is out of its range.
    """

    def __init__(self, start: float, alpha: float, gamma: float) -> None:
        self._alpha = check_share("alpha", alpha)
        if not (math.isfinite(gamma) and gamma > 0):
            raise InvalidInput(f"gamma is {gamma!r}; a number above 0 expected")
        self._gamma = gamma
        self.tau = 0.0
        self.restart(start)

    def restart(self, start: float) -> None:
        """Begin again at a threshold.

        Raises:
            InvalidInput: it is not from 0 to 1.
        """
        if not 0 <= start <= 1:
            raise InvalidInput(f"threshold is {start!r}; from 0 to 1 expected")
        self.tau = float(start)

    def add(self, lost: bool, probability: float) -> None:
        """Take in one audit, which came with ``probability``.

        Raises:
            InvalidInput: the probability is not above 0 and at most 1.
        """
        step = self._gamma / check_probability(probability) * (float(lost) - self._alpha)
        self.tau = min(1.0, max(0.0, self.tau - step))
