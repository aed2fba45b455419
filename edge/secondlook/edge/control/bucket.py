"""A token bucket with a share kept for audits, whose promise holds wherever bytes really pass.

What is sent passes the wire at some moment between asking for it and its answer: it may wait in a
queue, in a socket, or in front of a link that stands still. So a bucket here knows three amounts:
what may be spent by all (``free``), what only audits may spend (``kept``), and what is ``held``
for questions on their way. Their sum never exceeds the burst. From this follows the promise: over
any time of ``t`` seconds at most ``rate * t + burst`` pass, however the bytes of questions on
their way are spread, for those that are held at its beginning were already counted into the burst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput

KEPT_SHARE_OF_BURST = 0.5
"""How much of the burst audits may keep: a whole frame must fit, also where their rate is small."""

_DUST = 1e-6
"""Below this an amount is rounding: far less than a byte or an inference."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount that is taken and not yet settled.

    Attributes:
        free: how much of it everybody could have spent.
        kept: how much came from what is kept for audits.
    """

    free: float
    kept: float = 0.0

    @property
    def amount(self) -> float:
        """All of it."""
        return self.free + self.kept


class Bucket:
    """Fills with time, is paid from, and never promises what it does not have.

    It starts empty, so that a process that is started again and again gives no burst each time.
    A clock that goes back earns nothing; one that leaps ahead fills it to the burst at most.

    Args:
        rate: what flows in, units a second.
        burst: most that is free, kept and held together, units.
        audit_share: part of the rate that flows to audits first.
        now_s: monotonic time, seconds.

    Raises:
        InvalidInput: of all methods: an amount or a time is negative or not a number.
    """

    def __init__(self, rate: float, burst: float, audit_share: float, now_s: float) -> None:
        self.rate = check(rate, "rate")
        self.burst = check(burst, "burst")
        self._share = audit_share
        self._at_s = check_time(now_s)
        self._free = 0.0
        self._kept = 0.0
        self._held = 0.0
        self._debt = 0.0

    @property
    def held(self) -> float:
        """Taken for what is on its way."""
        return self._held

    @property
    def debt(self) -> float:
        """Spent beyond what was there; nothing can be taken until it is paid back."""
        return self._debt

    def room(self, now_s: float, *, audit: bool = False) -> float:
        """What can be taken now."""
        self._fill(now_s)
        if self._debt:
            return 0.0
        return self._free + self._kept if audit else self._free

    def fullness(self, now_s: float) -> float:
        """Free part of what everybody could have saved up, 0 to 1."""
        room = self.room(now_s)
        most = self.burst - self._kept
        return min(1.0, room / most) if most > 0 else 0.0

    def hold(self, amount: float, now_s: float, *, audit: bool = False) -> Hold | None:
        """Take an amount for something that is sent from now on; ``None`` where it is not there."""
        check(amount, "amount")
        if amount > self.room(now_s, audit=audit):
            return None
        kept = min(amount, self._kept) if audit else 0.0
        taken = Hold(amount - kept, kept)
        self._free = max(0.0, self._free - taken.free)
        self._kept = max(0.0, self._kept - taken.kept)
        self._held += amount
        return taken

    def settle(self, hold: Hold, used: float, now_s: float) -> None:
        """What was held has passed, or never will.

        Args:
            hold: what was taken.
            used: what really passed. Less: the rest is given back. More: it becomes a debt, which
                is paid before anything else is taken.
            now_s: monotonic time, seconds.
        """
        check(used, "used")
        self._fill(now_s)
        self._held = max(0.0, self._held - hold.amount)
        if used <= hold.amount:
            # Audits pay from what is kept for them first, and are given back to it last.
            spent_kept = min(used, hold.kept)
            self._kept += hold.kept - spent_kept
            self._free += hold.free - (used - spent_kept)
        else:
            excess = used - hold.amount
            paid = min(excess, self._free)
            self._free -= paid
            self._debt += excess - paid
        self._cap()

    def _fill(self, now_s: float) -> None:
        passed_s = check_time(now_s) - self._at_s
        self._at_s = now_s
        if passed_s <= 0:
            return
        earned = self.rate * passed_s
        paid = min(self._debt, earned)
        self._debt -= paid
        if self._debt < _DUST:
            self._debt = 0.0
        earned -= paid
        kept_room = (self.burst * KEPT_SHARE_OF_BURST if self._share else 0.0) - self._kept
        kept = min(earned * self._share, max(0.0, kept_room))
        self._kept += kept
        self._free += earned - kept
        self._cap()

    def _cap(self) -> None:
        over = self._free + self._kept + self._held - self.burst
        if over > 0:
            lost = min(self._free, over)
            self._free -= lost
            self._kept = max(0.0, self._kept - (over - lost))


def check(amount: float, what: str) -> float:
    """The amount itself.

    Raises:
        InvalidInput: it is negative, infinite or not a number.
    """
    if not (math.isfinite(amount) and amount >= 0):
        raise InvalidInput(f"{what} is {amount}; a finite number of 0 or more expected")
    return amount


def check_time(now_s: float) -> float:
    """The time itself.

    Raises:
        InvalidInput: it is infinite or not a number.
    """
    if not math.isfinite(now_s):
        raise InvalidInput(f"now_s is {now_s}; a finite number expected")
    return now_s
