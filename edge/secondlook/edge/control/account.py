"""What is kept about one camera's use of one budgeted thing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from secondlook.edge.control.bucket import Bucket
from secondlook.edge.control.price import DualPrice

MEAN_S = 10.0
"""Over how long what a camera spends is averaged."""

SAVED_SHARE = 0.5
"""How much of the site's burst a camera may save up at least, however small its share is."""


@dataclass(slots=True)
class Account:
    """Its bucket, its part of the site's budget, its price.

    Attributes:
        weight: its part where a budget is shared.
        own: the bucket of its own budget, where it has one.
        price: what a second of its budget must bring.
        balance: of its share of the site's budget, units; an audit may overdraw it.
        spent: since the last tick, units; negative where more was given back.
        mean: what it spends, smoothed, units a second.
        required: what its certified threshold demands, units a second.
        granted: its share of the site's budget, units a second; infinite without one.
        lent: what others leave it besides, smoothed, units a second.
    """

    weight: float
    own: Bucket | None
    price: DualPrice = field(default_factory=DualPrice)
    balance: float = 0.0
    spent: float = 0.0
    mean: float = 0.0
    required: float = 0.0
    granted: float = math.inf
    lent: float = 0.0

    @property
    def rate(self) -> float:
        """What it may count on, units a second; infinite without a limit."""
        return self.granted if self.own is None else min(self.own.rate, self.granted)

    def saves(self, burst_s: float, site_burst: float) -> float:
        """Most that its balance may reach, units."""
        return max(self.granted * burst_s, site_burst * SAVED_SHARE)

    def earn(self, amount: float, most: float) -> float:
        """Add to the balance; returns what found no room in it."""
        before = self.balance
        self.balance = max(before, min(most, before + amount))
        return before + amount - self.balance

    def move(self, passed_s: float, burst_s: float, now_s: float, *, shared: bool) -> None:
        """Move the price and the means on, after ``passed_s`` seconds.

        Args:
            passed_s: since the last time.
            burst_s: budget that may be saved up, seconds.
            now_s: monotonic time, seconds.
            shared: whether there is a budget of the site.
        """
        spent = max(0.0, self.spent)
        self.mean += (spent / passed_s - self.mean) * smoothing(passed_s)
        fullness, income = 1.0, math.inf
        if self.own is not None:
            fullness, income = self.own.fullness(now_s), self.own.rate
        if shared:
            saved = self.granted * burst_s
            if saved > 0:
                fullness = min(fullness, max(0.0, min(1.0, self.balance / saved)))
            income = min(income, self.granted + self.lent)
        if math.isfinite(income) and income > 0:
            self.price.move(spent / income, passed_s, fullness)
        # More was given back than spent: what is spent next is lessened by it.
        self.spent = min(0.0, self.spent)


def smoothing(passed_s: float) -> float:
    """Weight of what happened in the last ``passed_s`` seconds in a mean over `MEAN_S`."""
    return 1.0 - math.exp(-passed_s / MEAN_S)
