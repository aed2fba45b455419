"""How likely the edge's answer about a box is wrong, and what that costs. Pure functions.

Two branches, because a box that was just judged is another thing than one that never was: one
model over both gave a box that was verified at score 0.67 a probability of 0.12.

Without a verdict, two questions are kept apart: whether the heavy model sees an object there at
all (``p``), and whether it calls it what the edge calls it (``c``). To publish costs, in errors of
the F1 score, a false alarm where there is nothing, and a false alarm and a miss where the class is
wrong; to keep silent costs a miss where there is something::

    loss if published   (1 - p) + 2 p (1 - c)
    loss if silent      p
    risk                the smaller one: what a verdict saves, since the edge takes the better one

With ``c`` = 1 that is min(p, 1 - p).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate.logistic import Basis, Floats, Logistic, probability

VERIFIED = SIGHT + CHANGE
"""Columns of a box with a verdict."""


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """About ``n`` boxes.

    Attributes:
        right: float64 (n,), probability that the box with its class is what the heavy model says.
        loss: float64 (n,), expected errors that a verdict would save, 0 to 1.
    """

    right: Floats
    loss: Floats

    @classmethod
    def of(cls, present: Floats, same_class: Floats) -> Risk:
        """From the probability of an object, and that its class is right; see the module."""
        right = present * same_class
        published = 1.0 + present - 2.0 * right
        least = np.minimum(published, present)
        return cls(right, np.minimum(np.maximum(least, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class RiskModel:
    """The branches, as a gate file keeps them.

    Attributes:
        present: without a verdict: whether the heavy model sees an object, of any class.
        same_class: without a verdict: whether its class is the edge's, given that it sees one.
        confirmed: after a verdict that saw the object: whether it would say the same now.
        refuted: after a verdict that saw nothing: whether it would see the edge's class now.
    """

    present: Logistic
    same_class: Logistic
    confirmed: Logistic
    refuted: Logistic

    def unverified(self, sights: Floats) -> Risk:
        """Boxes without a verdict; ``sights``: float64 (n, len(SIGHT))."""
        odds = np.empty((2, len(sights)))
        odds[0], odds[1] = self.present.odds(sights, SIGHT), self.same_class.odds(sights, SIGHT)
        return Risk.of(*probability(odds))

    def verified(self, sights: Floats, changes: Floats, refuted: npt.NDArray[np.bool_]) -> Risk:
        """Boxes with a verdict.

        Args:
            sights: float64 (n, len(SIGHT)).
            changes: float64 (n, len(CHANGE)).
            refuted: bool (n,), whether the verdict saw nothing.
        """
        both = np.concatenate([sights, changes], axis=1)
        odds = np.empty(len(both))
        for model, rows in ((self.confirmed, ~refuted), (self.refuted, refuted)):
            if rows.any():
                odds[rows] = model.odds(both[rows], VERIFIED)
        right = probability(odds)
        return Risk(right, np.minimum(right, 1.0 - right))


def cold_start() -> RiskModel:
    """The rule of a camera for which nothing has been trained; documented, good from frame one.

    An object is as likely as its smoothed score says after the usual correction: light detectors
    are under-confident, an object seen again and again is likelier, and what a stronger box hides
    is likelier a double. The class is as certain as the share it has in what the track has said.
    A verdict fades over about ten seconds, faster where score or size have changed.
    """
    return RiskModel(
        present=Logistic(
            Basis(("smoothed", "score", "hits", "hidden")), (3.0, 0.75, 1.6, -0.2, -1.8)
        ),
        same_class=Logistic(Basis(("class_share", "margin")), (-6.0, 12.0, 1.0)),
        confirmed=Logistic(
            # Where the tiers disagree about a class for good, verdicts that repeat settle it.
            Basis(("verdict", "age", "smoothed_risen", "grown", "agreed", "confirmations")),
            (0.5, 0.8, -0.7, 0.5, -0.5, 1.5, 1.2),
        ),
        refuted=Logistic(
            Basis(("age", "smoothed", "smoothed_risen", "grown")), (-1.6, 0.1, 1.2, 0.8, 0.3)
        ),
    )
