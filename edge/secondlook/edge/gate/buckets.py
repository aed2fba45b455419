"""Kinds of boxes that are calibrated apart, and what a calibrated probability does to the loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.features import SIGHT
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.gate.logistic import Floats
from secondlook.edge.gate.risk import Risk

BRANCHES = ("new", "confirmed", "refuted")
SIZES = ("small", "medium", "large")
_SIDES = np.log([32.0, 96.0])
"""Where sizes part: the side of a box as if the frame were 640 pixels long."""
_NAME_LENGTH = 100


def recalibrated(
    risk: Risk, right: Floats, verified: npt.NDArray[np.bool_], changed: npt.NDArray[np.bool_]
) -> Risk:
    """Loss that goes with other probabilities of being right.

    Of a box without a verdict, loss and probability together say how likely an object of any class
    is (`Risk.of`); what is corrected is that, as far as it goes: the class keeps its share.

    Args:
        risk: before.
        right: float64 (n,), after.
        verified: bool (n,), boxes with a verdict, of which loss is min(right, 1 - right).
        changed: bool (n,); the others keep their loss to the last bit.
    """
    silent_is_better = risk.right < 0.5
    present = np.where(silent_is_better, risk.loss, risk.loss + 2.0 * risk.right - 1.0)
    share = np.clip(risk.right / np.maximum(present, 1e-9), 1e-9, 1.0)
    present = np.maximum(np.minimum(right / share, 1.0), right)
    fresh = Risk.of(present, right / np.maximum(present, 1e-9))
    loss = np.where(verified, np.minimum(right, 1.0 - right), fresh.loss)
    return Risk(right, np.where(changed, loss, risk.loss))


def log_odds(right: Floats) -> Floats:
    """float64 (n,): finite log odds of probabilities."""
    kept = np.clip(right, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


def buckets_of(
    features: Floats, names: list[str], beliefs: list[Belief | None], time_s: float
) -> list[str]:
    """The bucket of each box; empty where a verdict leaves no doubt: of this frame, or for long.

    Args:
        features: float64 (n, len(SIGHT)).
        names: n class names.
        beliefs: what is believed about each.
        time_s: stream time of the frame.
    """
    sizes = np.searchsorted(_SIDES, features[:, SIGHT.index("size")])
    found = []
    for name, size, belief in zip(names, sizes.tolist(), beliefs, strict=True):
        if belief is not None and (belief.at_s == time_s or belief.lasts(time_s)):
            found.append("")
            continue
        branch = 0 if belief is None else 2 if belief.refuted else 1
        found.append(f"{BRANCHES[branch]}/{SIZES[size]}/{name[:_NAME_LENGTH]}")
    return found
