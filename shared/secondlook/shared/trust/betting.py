"""Bets against a claim: e-values, which stay valid however often one looks.

Two claims are bet against, with opposite signs. *The miss rate is α or more*: wealth grows with
frames that were right; at 1/δ the claim is refuted and a threshold may be accepted, also where
audits had unequal probabilities. *The miss rate is α or less*: wealth grows with misses; at 1/δ
there is an alarm.

The wealth of a bet depends on how many audits of each probability there were and how many of them
missed, not on their order, so that is all that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.bounds import MAX_AUDITS, Floats, check_probability, check_share

CERTIFYING_BETS = 24
MONITOR_BETS = 12
RENEW_AUDITS = 250
"""After so many audits a part of the monitor's money begins anew."""
MAX_STARTS = 64
_HALVINGS = 34

Audited = Mapping[float, tuple[int, npt.NDArray[np.int64]]]
"""For each audit probability: audits, and int64 (G,) of them missed at each threshold."""


def certifying_bets(least_probability: float) -> Floats:
    """The fixed grid of λ: float64 (24,), geometric, below the least audit probability.

    Below it, the factor 1 - λ X stays positive whatever α is. Fixed before anything is seen.
    """
    return least_probability * np.geomspace(0.01, 0.99, CERTIFYING_BETS)


def certifying_log_e(audited: Audited, alpha: npt.ArrayLike, least_probability: float) -> Floats:
    """Log of the e-value against "the miss rate is ``alpha`` or more", at each threshold.

    A frame that was audited with probability π counts X = (L - α)/π, one that was not counts 0;
    E is the mean over λ of Π(1 - λX). Where E reaches 1/δ the rate is below α, but for
    a probability of δ.

    Args:
        audited: counts by probability.
        alpha: the rate, a number or float64 (G,).
        least_probability: least π that a frame could have had.

    Returns:
        float64 (G,).

    Raises:
        InvalidInput: a probability is not in (0, 1], or below the least one.
    """
    check_probability(least_probability)
    bets = certifying_bets(least_probability)[:, None]
    rate = np.asarray(alpha, np.float64)
    total: npt.NDArray[np.float64] = np.zeros((CERTIFYING_BETS, 1))
    for probability, (audits, misses) in audited.items():
        check_probability(probability)
        if probability < least_probability:
            raise InvalidInput(f"audit probability {probability} is below {least_probability}")
        k = np.asarray(misses, np.float64)
        wrong = np.log1p(-bets * (1 - rate) / probability)
        right = np.log1p(bets * rate / probability)
        total = total + k * wrong + (audits - k) * right
    return _log_mean(total)


def certifying_bound(audited: Audited, delta: float, least_probability: float) -> Floats:
    """Smallest rate that is refuted at level ``delta``, at each threshold: float64 (G,).

    1 where none is.
    """
    check_share("delta", delta)
    size = max((len(misses) for _, misses in audited.values()), default=1)
    low, high = np.zeros(size), np.ones(size)
    aim = -math.log(delta)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        refuted = certifying_log_e(audited, middle, least_probability) >= aim
        high, low = np.where(refuted, middle, high), np.where(refuted, low, middle)
    return high


def monitor_bets(alpha: float) -> Floats:
    """The λ of the monitor: float64 (12,), geometric; 0.5 to 60 at α = 1 %, below 1/α at any."""
    return np.geomspace(0.005, 0.6, MONITOR_BETS) / check_share("alpha", alpha)


def monitor_log_e(audits: npt.ArrayLike, misses: npt.ArrayLike, alpha: float) -> Floats:
    """Log of the e-value against "the miss rate is ``alpha`` or less", after so many audits.

    Args:
        audits: how many; any shape.
        misses: how many of them missed; the same shape.
        alpha: promised rate.

    Returns:
        float64, of the same shape.
    """
    n, k = (np.asarray(value, np.float64)[..., None] for value in (audits, misses))
    bets = monitor_bets(alpha)
    logs = k * np.log1p(bets * (1 - alpha)) + (n - k) * np.log1p(-bets * alpha)
    return _log_mean(np.moveaxis(logs, -1, 0))


class Monitor:
    """Watches the losses of audited frames, and says when they are too many. Anytime valid.

    While the true rate is α or less, an alarm comes with probability δ at most, between one
    `restart` and the next.

    A bet that has lost for long, while all was well, takes as long to win back. So half of the
    money is bet from the start; of the rest, a part 1/((j+1)(j+2)) begins anew after j times
    `RENEW_AUDITS` audits. The sum is a fair bet as well.

    Args:
        alpha: promised rate.
        delta: allowed probability of a false alarm.

    Raises:
        InvalidInput: one of them is not between 0 and 1.
    """

    def __init__(self, alpha: float, delta: float) -> None:
        self._alpha = check_share("alpha", alpha)
        self._aim = -math.log(check_share("delta", delta))
        self._starts: list[tuple[int, int]] = []
        self._log_e: float | None = None
        self.audits = 0
        self.misses = 0

    def add(self, lost: bool) -> bool:
        """Take in one audit; returns whether there is an alarm."""
        if self.audits >= MAX_AUDITS:
            raise InvalidInput("the monitor has counted too much; restart it")
        if self.audits % RENEW_AUDITS == 0 and len(self._starts) < MAX_STARTS:
            self._starts.append((self.audits, self.misses))
        self.audits += 1
        self.misses += bool(lost)
        self._log_e = None
        # Wealth only grows with a miss.
        return bool(lost) and self.log_e >= self._aim

    def restart(self) -> None:
        """Forget what was counted and spend a new δ."""
        self.audits = self.misses = 0
        self._starts.clear()
        self._log_e = None

    @property
    def log_e(self) -> float:
        """Log of the e-value; the alarm is at -log δ."""
        if not self._starts:
            return 0.0
        # It is looked at after every frame, and changes with an audit.
        if self._log_e is None:
            counts = np.array((self.audits, self.misses)) - np.array(self._starts)
            self._log_e = float(renewed_log_e(counts[:, 0], counts[:, 1], self._alpha))
        return self._log_e

    @property
    def e_value(self) -> float:
        """The e-value; the alarm is at 1/δ."""
        return math.exp(min(self.log_e, 700.0))


def renewed_log_e(audits: npt.ArrayLike, misses: npt.ArrayLike, alpha: float) -> Floats:
    """Log of the monitor's e-value.

    Args:
        audits: (..., J): audits since each of its J starts, the first one first.
        misses: (..., J): of these, missed.
        alpha: promised rate.

    Returns:
        float64, of the shape before the last axis.
    """
    logs = monitor_log_e(audits, misses, alpha)
    starts = logs.shape[-1]
    j = np.arange(starts)
    weighed = logs - np.log((j + 1.0) * (j + 2.0))
    idle = np.full((*logs.shape[:-1], 1), -math.log(starts + 1.0))
    logs = np.concatenate([weighed, idle], axis=-1)
    top = logs.max(axis=-1, keepdims=True)
    return np.asarray((top + np.log(np.exp(logs - top).sum(axis=-1, keepdims=True)))[..., 0])


def _log_mean(logs: npt.NDArray[np.float64]) -> Floats:
    """Log of the mean over the first axis of what is given in logs."""
    top = logs.max(axis=0)
    return np.asarray(top + np.log(np.exp(logs - top).mean(axis=0)), np.float64)
