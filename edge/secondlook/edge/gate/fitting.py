"""From lessons to a risk model: maximum a posteriori, weighted by clip.

Weights are drawn towards the cold-start rule, not towards 0: where the lessons say little, or come
from cameras unlike the one that is watched, what stays is the rule and not ignorance. Drawn to 0,
a model trained on a conveyor lost 0.04 F1 on a motorway against the rule; drawn to the rule, none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.features import SIGHT
from secondlook.edge.gate.lessons import Lessons
from secondlook.edge.gate.logistic import Basis, Floats, Logistic, probability
from secondlook.edge.gate.risk import VERIFIED, RiskModel, cold_start

PRESENT = Basis(
    ("score", "smoothed", "mean", "best", "deviation", "size", "hits", "border", "margin",
     "hidden", "speed", "flips", "cluster"),
    hinges=(("smoothed", -2.0), ("smoothed", -1.0), ("smoothed", 0.0), ("smoothed", 1.0),
            ("best", -1.0), ("best", 0.0), ("best", 1.5), ("size", 2.5), ("size", 3.2),
            ("size", 4.0), ("hits", 1.0), ("hits", 2.0), ("hidden", 0.5), ("hidden", 0.8)),
    products=(("smoothed", "hits"), ("smoothed", "size"), ("mean", "hits")),
)  # fmt: skip
SAME_CLASS = Basis(
    ("smoothed", "mean", "size", "hits", "margin", "class_share", "flips", "cluster"),
    hinges=(("class_share", 0.6), ("class_share", 0.9)),
    products=(("class_share", "hits"),),
)
CONFIRMED = Basis(
    ("score", "smoothed", "mean", "size", "hits", "border", "hidden", "speed", "verdict", "age",
     "risen", "smoothed_risen", "grown", "same_class", "agreed", "confirmations"),
    hinges=(("age", 0.4), ("age", 1.0), ("age", 1.8), ("verdict", 0.0), ("verdict", 1.0)),
    products=(("verdict", "age"), ("speed", "age"), ("smoothed", "age"), ("smoothed", "verdict")),
)  # fmt: skip
REFUTED = Basis(
    ("score", "smoothed", "best", "size", "hits", "hidden", "speed", "age", "risen",
     "smoothed_risen", "grown", "same_class"),
    hinges=(("age", 0.4), ("age", 1.0), ("age", 1.8), ("risen", 0.5), ("smoothed_risen", 0.5)),
    products=(("smoothed", "age"), ("speed", "age")),
)  # fmt: skip

_MOST_STEPS = 100
_CONSTANT_SHARE = 1.0
"""Strength with which the common constant is drawn to the prior's, as a share of the penalty."""
_OFFSET_PENALTY = 1.0
"""Strength with which the offset of a clip is drawn to 0."""
LEAST_ROWS = 30
"""Fewer rows, or rows that all say the same, teach nothing: the cold-start rule stays."""
_CLIP_WEIGHT = 2000.0
"""What all rows of one clip weigh together at most: neighbouring frames say nearly the same."""


def fit_risk(clips: Sequence[Lessons], penalty: float = 2.0) -> RiskModel:
    """The model of several clips; where a branch has too few rows, that of the cold start.

    Args:
        clips: lessons of each; each clip weighs the same, however long.
        penalty: of weights far from those of the cold start.
    """
    cold = cold_start()
    return RiskModel(
        present=fit_branch(
            PRESENT, SIGHT, [(c.sights, c.present) for c in clips], penalty, cold.present
        ),
        same_class=fit_branch(
            SAME_CLASS, SIGHT, [with_object(c) for c in clips], penalty, cold.same_class
        ),
        confirmed=fit_branch(
            CONFIRMED, VERIFIED, [(c.confirmed, c.stands) for c in clips], penalty, cold.confirmed
        ),
        refuted=fit_branch(
            REFUTED, VERIFIED, [(c.refuted, c.returned) for c in clips], penalty, cold.refuted
        ),
    )


def with_object(clip: Lessons) -> tuple[list[Floats], list[float]]:
    """The rows of ``same_class``: sights where the heavy model sees an object."""
    rows = [row for row, present in enumerate(clip.present) if present]
    return [clip.sights[row] for row in rows], [clip.same_class[row] for row in rows]


def fit_branch(
    basis: Basis,
    names: Sequence[str],
    clips: Sequence[tuple[Sequence[Floats], Sequence[float]]],
    penalty: float,
    cold: Logistic,
) -> Logistic:
    """One branch of several clips; where there are too few rows, that of the cold start.

    Args:
        basis: holds at least the columns of ``cold``.
        names: of the columns of the rows.
        clips: rows, float64 (len(names),) each, and 0 or 1 for each of them.
        penalty: see `fit`.
        cold: where the weights are drawn to.
    """
    kept = [(rows, said) for rows, said in clips if len(rows)]
    count = sum(len(said) for _, said in kept)
    total = sum(sum(said) for _, said in kept)
    if count < LEAST_ROWS or total in (0, count):
        return cold
    terms = np.concatenate([basis.expand(np.stack(rows), names) for rows, _ in kept])
    said = np.concatenate([np.array(said) for _, said in kept])
    sizes = [len(said) for _, said in kept]
    weights = np.repeat([min(1.0, _CLIP_WEIGHT / size) for size in sizes], sizes)
    clip = np.repeat(np.arange(len(kept)), sizes)
    return Logistic(
        basis, tuple(fit(terms, said, weights, clip, penalty, in_basis(cold, basis)).tolist())
    )


def in_basis(model: Logistic, basis: Basis) -> Floats:
    """float64 (basis.size,): the same regression over a larger basis; unknown terms weigh 0."""
    out = np.zeros(basis.size)
    out[0] = model.weights[0]
    for weight, name in zip(model.weights[1:], model.basis.columns, strict=True):
        out[1 + basis.columns.index(name)] = weight
    return out


def fit(
    terms: Floats,
    said: Floats,
    weights: Floats,
    clip: npt.NDArray[np.intp],
    penalty: float,
    prior: Floats,
) -> Floats:
    """float64 (terms,): weights of a logistic regression, the first term being the constant.

    Each clip has an offset of its own, which is thrown away: how confident the light model is in
    general differs from camera to camera, and is learned there. What is kept is what differs from
    box to box.

    Args:
        terms: float64 (n, terms).
        said: float64 (n,), 0 or 1.
        weights: float64 (n,), of the rows.
        clip: int (n,), which clip each row is of, from 0.
        penalty: L2 distance from the prior, on standardised columns.
        prior: float64 (terms,), where the weights are drawn to.
    """
    mean, scale = terms.mean(axis=0), terms.std(axis=0)
    mean[0], scale[0] = 0.0, 1.0
    flat = scale < 1e-9
    scale[flat] = 1.0
    standard = (terms - mean) / scale
    standard[:, flat] = 0.0
    size, clips = terms.shape[1], int(clip.max()) + 1
    drawn = np.concatenate([prior * scale, np.zeros(clips)])
    drawn[0] = prior[0] + float(np.sum(prior[1:] * mean[1:]))
    strength = np.full(size + clips, penalty)
    strength[0] = _CONSTANT_SHARE * penalty
    strength[size:] = _OFFSET_PENALTY

    offsets = np.eye(clips)[clip]
    columns = np.concatenate([standard, offsets], axis=1)
    found = _most_likely(columns, said, weights, strength, drawn)
    beta = found[:size] / scale
    beta[flat] = prior[flat]
    beta[0] -= float(np.sum(beta[1:] * mean[1:]))
    fitted: Floats = beta
    return fitted


def _most_likely(
    columns: Floats, said: Floats, weights: Floats, strength: Floats, drawn: Floats
) -> Floats:
    """float64 (columns,): where the penalised loss is least. Newton's method: it is convex."""

    def loss(beta: Floats) -> float:
        odds = columns @ beta
        value = float(np.sum(weights * (np.logaddexp(0.0, odds) - said * odds)))
        return value + 0.5 * float(np.sum(strength * (beta - drawn) ** 2))

    beta: Floats = drawn.copy()
    value = loss(beta)
    for _ in range(_MOST_STEPS):
        likely = probability(columns @ beta)
        slope = columns.T @ (weights * (likely - said)) + strength * (beta - drawn)
        bend = columns.T @ ((weights * likely * (1.0 - likely))[:, None] * columns)
        step = np.linalg.solve(bend + np.diag(strength), slope)
        # Far from the least a whole step may lead too far.
        share = 1.0
        while share > 1e-6 and (after := loss(beta - share * step)) > value:
            share /= 2
        if share <= 1e-6:
            break
        gained, value = value - after, after
        beta = beta - share * step
        if gained <= 1e-9 * (1.0 + abs(value)):
            break
    return beta
