"""How soon is a broken promise noticed, and how often is one seen that is not broken?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.cli.bench.trust.scenes import CHANGES, Scene
from secondlook.shared.trust.betting import (
    MAX_STARTS,
    RENEW_AUDITS,
    monitor_log_e,
    renewed_log_e,
)

_CHUNK = 64
"""Misses looked at together; most alarms come early."""


@dataclass(frozen=True, slots=True)
class Alarms:
    """What the monitor did in many runs of one kind.

    Attributes:
        text: what happened.
        before: share of audits lost before the change.
        after: share lost behind it.
        calm: audits before the change.
        runs: how many.
        false_alarms: share of runs with an alarm before the change.
        noticed: share of the others with an alarm within `within` audits.
        within: audits behind the change that were looked at.
        median: audits from the change to the alarm; infinite where half were not noticed.
        p90: the same for 9 of 10 runs.
        one_bet_median: the same of one bet that never begins anew.
    """

    text: str
    before: float
    after: float
    calm: int
    runs: int
    false_alarms: float
    noticed: float
    within: int
    median: float
    p90: float
    one_bet_median: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Long runs in which the promise is kept.

    Attributes:
        rate: share of audits that are lost.
        audits: of each run.
        runs: how many.
        share: of runs with an alarm; at most δ.
    """

    rate: float
    audits: int
    runs: int
    share: float


@dataclass(frozen=True, slots=True)
class Case:
    """A change of the loss rate, to be noticed."""

    text: str
    before: float
    after: float
    calm: int
    within: int


def cases(alpha: float, tau: float, calm: int, seed: int) -> list[Case]:
    """The injected changes, and plain rates from the first audit on.

    The camera is one whose losses at ``tau`` are half of the promise.
    """
    rng = np.random.default_rng((seed, 77))
    per_miss = Scene(miss=1.0).loss_at(tau, rng)
    scene = Scene(miss=min(0.2, 0.5 * alpha / per_miss))
    before = scene.loss_at(tau, rng)
    found = [
        Case(text, before, min(1.0, change(scene).loss_at(tau, rng)), calm, 20_000)
        for text, change in CHANGES
    ]
    for times in (2, 3, 5, 10):
        rate = times * alpha
        if rate < 1:
            found.append(Case(f"{times} times the promise from the start", rate, rate, 0, 20_000))
    return found


def notice(
    case: Case,
    alpha: float,
    delta: float,
    runs: int,
    seed: tuple[int, ...],
    done: Callable[[], None],
) -> Alarms:
    """Run the monitor over audits before and behind a change."""
    ours, plain = np.empty(runs), np.empty(runs)
    for run in range(runs):
        rng = np.random.default_rng((*seed, run))
        losses = np.r_[rng.random(case.calm) < case.before, rng.random(case.within) < case.after]
        ours[run] = first_alarm(losses, alpha, delta)
        plain[run] = first_alarm(losses, alpha, delta, renew=False)
        done()
    waits = (ours - case.calm)[ours > case.calm]
    plain_waits = (plain - case.calm)[plain > case.calm]
    return Alarms(
        case.text,
        case.before,
        case.after,
        case.calm,
        runs,
        float((ours <= case.calm).mean()),
        float(np.isfinite(waits).mean()) if len(waits) else math.nan,
        case.within,
        _quantile(waits, 0.5),
        _quantile(waits, 0.9),
        _quantile(plain_waits, 0.5),
    )


def false_alarms(
    rate: float,
    audits: int,
    alpha: float,
    delta: float,
    runs: int,
    seed: tuple[int, ...],
    done: Callable[[], None],
) -> FalseAlarms:
    """Run the monitor where the promise is kept."""
    alarms = 0
    for run in range(runs):
        rng = np.random.default_rng((*seed, run))
        alarms += math.isfinite(first_alarm(rng.random(audits) < rate, alpha, delta))
        done()
    return FalseAlarms(rate, audits, runs, alarms / runs)


def first_alarm(
    losses: npt.NDArray[np.bool_], alpha: float, delta: float, *, renew: bool = True
) -> float:
    """After how many audits `Monitor` alarms; infinite where it does not.

    Args:
        losses: bool (N,), the audits in order.
        alpha: promised rate.
        delta: allowed probability of a false alarm.
        renew: as `Monitor` does; else one bet from the first audit on.
    """
    at = np.flatnonzero(losses) + 1
    starts = np.arange(0, len(losses), RENEW_AUDITS)[:MAX_STARTS] if renew else np.zeros(1, int)
    seen = np.r_[0, np.cumsum(losses)]
    for begin in range(0, len(at), _CHUNK):
        some = at[begin : begin + _CHUNK, None]
        # A part that has not begun yet is worth what it began with.
        begun = starts < some
        audits = np.where(begun, some - starts, 0)
        misses = np.where(begun, seen[some] - seen[starts], 0)
        if renew:
            log_e = renewed_log_e(audits, misses, alpha)
        else:
            log_e = monitor_log_e(audits[:, 0], misses[:, 0], alpha)
        hit = np.flatnonzero(log_e >= -math.log(delta))
        if len(hit):
            return float(some[hit[0], 0])
    return math.inf


def _quantile(values: npt.NDArray[np.float64], share: float) -> float:
    """The value that ``share`` of the runs do not exceed; runs without an alarm are infinite."""
    if not len(values):
        return math.nan
    return float(np.sort(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)])
