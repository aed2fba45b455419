"""From counts of how often probabilities were right to a curve that corrects them. Pure.

Curves work on log odds, rise nowhere less than flat, and are drawn to the identity: with few counts
they change nothing, and where nothing was counted they go on as their nearest counts say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.logistic import Floats, probability

LOW, HIGH, BINS = -4.0, 4.0, 16
"""Bins of log odds, all of one width; what lies beyond is in the outer ones."""
CENTRES: Floats = np.linspace(LOW, HIGH, BINS, endpoint=False) + (HIGH - LOW) / BINS / 2

LEAST = 30.0
"""Fewer outcomes change nothing."""
ISOTONIC = 500.0
"""From so many outcomes on the shape is free, as long as it rises; below it is a line (Platt)."""
_SLOPE_SPREAD, _OFFSET_SPREAD = 0.25, 1.0
"""How far slope and offset of a line may be from 1 and 0 at ease: standard deviations."""
_PSEUDO = 8.0
"""Outcomes as which the line counts in each bin of a free shape."""
_FARTHEST = 12.0
"""Log odds beyond which nothing is more certain."""
_STEPS = 25


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A rising map of log odds.

    Attributes:
        values: float64 (BINS,), where the centre of each bin goes; straight between, of slope 1
            beyond.
    """

    values: Floats

    def apply(self, odds: Floats) -> Floats:
        """float64 (n,), corrected log odds."""
        inside = np.interp(odds, CENTRES, self.values)
        beyond = np.minimum(odds - CENTRES[0], 0.0) + np.maximum(odds - CENTRES[-1], 0.0)
        out: Floats = inside + beyond
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Outcomes by bin.

    Attributes:
        seen: float64 (BINS,), their weights.
        right: float64 (BINS,), the weights of those that were right.
        squares: sum of the squared weights.
    """

    seen: Floats
    right: Floats
    squares: float

    @property
    def number(self) -> float:
        """How many outcomes of equal weight would say as much."""
        total = float(self.seen.sum())
        return total * total / self.squares if self.squares > 0 else 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.seen + other.seen, self.right + other.right, self.squares + other.squares
        )


NOTHING = Counts(np.zeros(BINS), np.zeros(BINS), 0.0)


def bin_of(odds: Floats) -> npt.NDArray[np.intp]:
    """int (n,), the bin of each."""
    place = np.floor((odds - LOW) / (HIGH - LOW) * BINS)
    return np.clip(place, 0, BINS - 1).astype(np.intp)


def curve_of(counts: Counts, begin: Curve | None = None) -> Curve | None:
    """The curve that counts speak for; ``begin`` where they are too few.

    Args:
        counts: by bins of the log odds before any curve.
        begin: what is thought before they are looked at; ``None`` for the identity.
    """
    number = counts.number
    if number < LEAST:
        return begin
    # Weights to outcomes: what counts is how many there were, not what each stands for.
    scale = number / float(counts.seen.sum())
    seen, right = counts.seen * scale, counts.right * scale
    at = CENTRES if begin is None else begin.values
    slope, offset = _line(at, seen, right)
    line = np.clip(offset + slope * at, -_FARTHEST, _FARTHEST)
    if number < ISOTONIC:
        return Curve(line)
    thought = probability(line)
    shares = rising((right + _PSEUDO * thought) / (seen + _PSEUDO), seen + _PSEUDO)
    return Curve(np.log(shares / (1.0 - shares)))


def _line(at: Floats, seen: Floats, right: Floats) -> tuple[float, float]:
    """Slope and offset of the most likely line, drawn to 1 and 0; the slope is never negative."""
    columns = np.stack([at, np.ones_like(at)], axis=1)
    drawn = np.array([1.0, 0.0])
    strength = np.array([_SLOPE_SPREAD**-2, _OFFSET_SPREAD**-2])
    beta = drawn.copy()

    def loss(beta: Floats) -> float:
        odds = columns @ beta
        value = float(np.sum(seen * np.logaddexp(0.0, odds) - right * odds))
        return value + 0.5 * float(np.sum(strength * (beta - drawn) ** 2))

    value = loss(beta)
    for _ in range(_STEPS):
        likely = probability(columns @ beta)
        slope = columns.T @ (seen * likely - right) + strength * (beta - drawn)
        bend = columns.T @ ((seen * likely * (1.0 - likely))[:, None] * columns)
        step = np.linalg.solve(bend + np.diag(strength), slope)
        share = 1.0
        while share > 1e-4 and (after := loss(beta - share * step)) > value:
            share /= 2
        if share <= 1e-4 or value - after < 1e-9:
            break
        beta, value = beta - share * step, after
    if beta[0] < 0:
        # Worse than chance: then the score tells nothing, and only the share does.
        share_right = (right.sum() + 1.0) / (seen.sum() + 2.0)
        return 0.0, float(np.log(share_right / (1.0 - share_right)))
    return float(beta[0]), float(beta[1])


def rising(shares: Floats, weights: Floats) -> Floats:
    """float64 (n,): the nearest values that never fall, by pooling neighbours that do.

    Args:
        shares: float64 (n,).
        weights: float64 (n,), positive.
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(shares.tolist(), weights.tolist(), strict=True):
        length = 1
        while blocks and blocks[-1][0] >= value:
            before, heavy, many = blocks.pop()
            value = (before * heavy + value * weight) / (heavy + weight)
            weight, length = heavy + weight, many + length
        blocks.append((value, weight, length))
    out: Floats = np.repeat([b[0] for b in blocks], [b[2] for b in blocks]).astype(np.float64)
    return out
