"""The certificate: which threshold keeps the promise, and what that rests on.

Thresholds are tested in a fixed order, from sending everything towards sending nothing, each at the
full level δ, and the walk stops at the first that fails (fixed-sequence Learn-then-Test). Nothing
is paid for testing many: a wrong threshold is accepted only if the first wrong one on the way is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.betting import certifying_bound, certifying_log_e
from secondlook.shared.trust.bounds import check_share, clopper_pearson
from secondlook.shared.trust.counts import AuditCounts

SEND_ALL = 0.0
"""The threshold at which every region of every frame is asked about: nothing can be missed."""

UNKNOWN = "unknown"
"""In the place of a model's name before the first verdict."""

Method = Literal["clopper-pearson", "betting"]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a certificate rests on; with another, it is void.

    Attributes:
        gate: fingerprint of the gate file, calibrators included.
        model: name of the heavy model that is agreed with; `UNKNOWN` before its first verdict.
        model_version: its version.
    """

    gate: str
    model: str
    model_version: str

    def __post_init__(self) -> None:
        for name in ("gate", "model"):
            if not getattr(self, name):
                raise InvalidInput(f"{name} of a certificate's basis is empty")

    def differs(self, other: Basis) -> str:
        """What is different, in plain words; empty where nothing is."""
        parts = [
            f"{name.replace('_', ' ')} was {getattr(self, name)}, is {getattr(other, name)}"
            for name in ("gate", "model", "model_version")
            if getattr(self, name) != getattr(other, name)
        ]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Certificate:
    """In its window, with probability 1 - δ, at most α of the frames were lost at τ or below.

    Attributes:
        alpha: promised share of frames that miss an object of the heavy model.
        delta: allowed probability that the certificate is wrong.
        tau: highest threshold for which it holds; 0: only where everything is sent.
        bound: upper bound of the share at ``tau``; 0 where everything is sent.
        started_s: when its window began, seconds since the Unix epoch.
        ended_s: when its window ended.
        frames: T, frames of the window.
        audits: n, audits by coin.
        misses: k, of these, missed at ``tau``.
        known_misses: K, of the frames that were looked at anyway, missed at ``tau``.
        basis: gate and model for which it holds.
        cameras: the cameras whose frames it is about.
        method: how the bound was computed.
    """

    alpha: float
    delta: float
    tau: float
    bound: float
    started_s: float
    ended_s: float
    frames: int
    audits: int
    misses: int
    known_misses: int
    basis: Basis
    cameras: tuple[str, ...]
    method: Method

    @property
    def sends_all(self) -> bool:
        """Whether nothing was certified but sending everything."""
        return self.tau <= SEND_ALL


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What the test of all thresholds gave.

    Attributes:
        index: place of the highest accepted threshold; 0: only sending everything.
        bounds: float64 (G,): upper bound of the share of lost frames at each threshold; 0 at the
            first, by construction.
        estimates: float64 (G,): the plain estimate at each; NaN without audits.
        method: how the bounds were computed.
    """

    index: int
    bounds: npt.NDArray[np.float64]
    estimates: npt.NDArray[np.float64]
    method: Method


def walk(counts: AuditCounts, alpha: float, delta: float) -> Walk:
    """Test all thresholds in order, and stop at the first that fails.

    With one audit probability, τ is accepted where (N_a U(k, n) + K)/T <= α. With several, where
    the e-value of `certifying_log_e` reaches 1/δ. Without audits, nothing but sending everything.

    Raises:
        InvalidInput: α or δ is out of its range, or outcomes are missing.
    """
    check_share("alpha", alpha)
    check_share("delta", delta)
    if counts.known_looks != counts.known:
        raise InvalidInput(
            f"{counts.known - counts.known_looks} of the frames looked at have no outcome"
        )
    method: Method = "clopper-pearson" if len(counts.probabilities) <= 1 else "betting"
    size = len(counts.thresholds)
    if counts.frames == 0:
        return Walk(0, np.r_[0.0, np.ones(size - 1)], np.full(size, np.nan), method)
    if method == "clopper-pearson":
        upper = clopper_pearson(counts.misses, counts.audits, delta)
        bounds = (counts.accepted * upper + counts.known_misses) / counts.frames
        passed = bounds <= alpha
    else:
        least = counts.probabilities[0]
        bounds = certifying_bound(counts.by_probability, delta, least)
        log_e = certifying_log_e(counts.by_probability, alpha, least)
        passed = log_e >= -math.log(delta)
    bounds = np.array(bounds)
    bounds[0], passed[0] = 0.0, True
    failed = np.flatnonzero(~passed)
    index = int(failed[0]) - 1 if len(failed) else size - 1
    return Walk(index, bounds, estimates(counts), method)


def estimates(counts: AuditCounts) -> npt.NDArray[np.float64]:
    """Plain, unbiased estimate of the share of lost frames at each threshold: float64 (G,)."""
    if counts.frames == 0 or (counts.accepted and not counts.audits):
        return np.full(len(counts.thresholds), np.nan)
    if len(counts.probabilities) <= 1:
        rate = counts.misses / max(1, counts.audits)
        return np.asarray((counts.accepted * rate + counts.known_misses) / counts.frames)
    total = np.zeros(len(counts.thresholds))
    for probability, (_, misses) in counts.by_probability.items():
        total += misses / probability
    return np.asarray(total / counts.frames)


def certify(
    counts: AuditCounts,
    *,
    alpha: float,
    delta: float,
    basis: Basis,
    cameras: tuple[str, ...],
    started_s: float,
    ended_s: float,
) -> Certificate:
    """The certificate of a window whose outcomes are all in.

    Raises:
        InvalidInput: outcomes are missing, or an argument is out of its range.
    """
    found = walk(counts, alpha, delta)
    return Certificate(
        alpha=alpha,
        delta=delta,
        tau=float(counts.thresholds[found.index]),
        bound=float(found.bounds[found.index]),
        started_s=started_s,
        ended_s=ended_s,
        frames=counts.frames,
        audits=counts.audits,
        misses=int(counts.misses[found.index]),
        known_misses=int(counts.known_misses[found.index]),
        basis=basis,
        cameras=cameras,
        method=found.method,
    )
