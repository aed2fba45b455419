"""The dual price of a budget: what a unit must bring for the budget to last."""

from __future__ import annotations

from secondlook.edge.control.bucket import check

STEP_PER_S = 0.1
"""η: how much the price moves for each second of budget that is spent too much or too little."""

PULL = 0.5
"""How strongly a bucket that is not half full moves the price, in budgets. The bucket sums up what
the price sums up again: much stronger, and the two would swing around each other."""

HALF_FULL = 0.5
MAX_PRICE = 1000.0
"""Utility that a second of budget can cost at most: nothing that can be asked is worth it."""

_FREE = 1e-9
"""A price below this is rounding."""

_LONGEST_S = 10.0
"""A clock that leaps ahead moves the price as far as this many seconds would."""


class DualPrice:
    """``ν <- max(0, ν + η (spent - budget))``, in seconds of budget, so that it knows no unit.

    Once a bucket is empty, what is spent equals what flows in, and this rule alone would stop
    moving while far too much is still asked. So the price also leans towards a bucket that is half
    full: it rises while questions find an empty bucket, and falls to 0 where the budget is ample.

    Attributes:
        nu: utility that a second of budget must bring.
    """

    def __init__(self) -> None:
        self.nu = 0.0

    def move(self, spent_s: float, passed_s: float, fullness: float) -> None:
        """Time has passed.

        Args:
            spent_s: what was spent meanwhile, in seconds of budget.
            passed_s: how long it was, seconds; more than ten count as ten.
            fullness: of the bucket now, 0 to 1.
        """
        check(passed_s, "passed_s")
        passed_s = min(passed_s, _LONGEST_S)
        lean = PULL * (HALF_FULL - fullness) * passed_s
        step = STEP_PER_S * (max(0.0, spent_s) - passed_s + lean)
        self.nu = min(MAX_PRICE, self.nu + step)
        if self.nu < _FREE:
            self.nu = 0.0
