"""What audits have taught about the gate's probabilities, as it is used. Pure.

How it is learned: `secondlook.edge.gate.learner`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secondlook.edge.gate.buckets import log_odds, recalibrated
from secondlook.edge.gate.curves import Curve
from secondlook.edge.gate.logistic import probability
from secondlook.edge.gate.risk import Risk

OTHER = "*"
"""In the place of a class where no more classes are told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Curves by bucket; those of ``branch`` alone are for what has no bucket of its own.

    Attributes:
        curves: a bucket without a curve is left as it is.
        version: names these curves; empty where there are none.
    """

    curves: Mapping[str, Curve]
    version: str

    def apply(self, risk: Risk, buckets: list[str]) -> Risk:
        """The risk with calibrated probabilities; see `recalibrated`.

        Args:
            risk: as the risk model gives it.
            buckets: of each box; empty for boxes that are left as they are.
        """
        if not self.curves or not len(buckets):
            return risk
        odds = log_odds(risk.right)
        changed = np.zeros(len(buckets), bool)
        open_ = (risk.right > 0.0) & (risk.right < 1.0)
        for bucket in set(buckets):
            curve = curve_in(self.curves, bucket)
            if curve is None:
                continue
            # What is certain, such as a known false positive, is no matter of probability.
            rows = open_ & np.array([name == bucket for name in buckets])
            odds[rows] = curve.apply(odds[rows])
            changed |= rows
        right = np.where(changed, probability(odds), risk.right)
        verified = np.array([not bucket.startswith("new/") for bucket in buckets])
        return recalibrated(risk, right, verified, changed)


NO_CALIBRATION = Calibration({}, "")


def curve_in(curves: Mapping[str, Curve], bucket: str) -> Curve | None:
    """The curve of a bucket, of all other classes of that branch and size, or of the branch."""
    if not bucket:
        return None
    branch, size, _ = bucket.split("/", 2)
    return curves.get(bucket) or curves.get(f"{branch}/{size}/{OTHER}") or curves.get(branch)


def named(used: dict[str, Curve]) -> Calibration:
    """Curves with their name."""
    if not used:
        return NO_CALIBRATION
    text = repr([(name, used[name].values.tolist()) for name in sorted(used)])
    return Calibration(used, hashlib.sha256(text.encode()).hexdigest()[:16])
