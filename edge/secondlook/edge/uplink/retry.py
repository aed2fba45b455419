"""How often a failed question may be tried again: a budget, so that retries never pile up."""

from __future__ import annotations

import random


class RetryBudget:
    """Each question pays a share of a retry into an account; each retry takes one out.

    In an outage the account runs dry after ``burst`` retries, and then at most ``ratio`` of the
    load is added to a service that is already in trouble.

    Args:
        ratio: what a question pays.
        burst: most that can be saved up; the account starts full.
    """

    def __init__(self, ratio: float, burst: float) -> None:
        self._ratio = ratio
        self._burst = burst
        self._balance = burst

    def asked(self) -> None:
        """A question is sent for the first time."""
        self._balance = min(self._burst, self._balance + self._ratio)

    def take(self) -> bool:
        """Whether a retry may be made; it is then paid for."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True


def pause_s(attempt: int, initial_s: float, max_s: float, draw: random.Random) -> float:
    """How long to wait before retry ``attempt`` (from 1): drawn from 0 to a growing bound."""
    bound_s: float = min(max_s, initial_s * 2.0 ** min(attempt - 1, 30))
    return draw.uniform(0, bound_s)
