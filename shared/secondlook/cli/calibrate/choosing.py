"""Which basis each branch of the risk model gets: what carries over to footage left out.

A rich basis fits the clips that it has seen and may be wrong on the next camera. Measured: trained
on one conveyor alone, it lost 0.06 F1 on a motorway against the cold-start rule. So each candidate
is fitted without each group of lessons in turn and scored on what was left out, in log loss beside
the cold start on the same rows. A candidate that loses more than a trifle on any group is out,
however much it gains on the others; of those that are left the best mean stands; and where none
is better than the cold start, that stays.

A group is a clip: what stands carries over to cameras that were not seen. Where the gate is for the
very cameras of the clips and no other, the groups are blocks of their time. One or two clips cannot
tell what another camera would do to a model, however small: with the columns of the cold start and
the largest penalty here, weights that gained 0.02 nats on a road lost 0.03 on a conveyor, and those
of the conveyor lost 0.65 on the road; a conveyor and a door, each of which gained by the other,
gave a model that lost 0.10 F1 on the road. So it takes three clips to leave the cold start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from secondlook.edge.evidence.features import SIGHT
from secondlook.edge.gate.fitting import (
    CONFIRMED,
    LEAST_ROWS,
    PRESENT,
    REFUTED,
    SAME_CLASS,
    fit_branch,
    with_object,
)
from secondlook.edge.gate.gate_parts import BranchChoice
from secondlook.edge.gate.lessons import Lessons
from secondlook.edge.gate.logistic import Basis, Floats, Logistic
from secondlook.edge.gate.risk import VERIFIED, RiskModel, cold_start

COLD = "cold start"
PENALTIES = (2.0, 10.0, 50.0)
"""How strongly weights are drawn to the cold start's; each is tried."""
MAY_LOSE = 0.005
"""Mean log loss, nats, by which a candidate may be worse than the cold start on one group."""
MAY_LOSE_SHARE = 0.1
"""The same as a share of the mean gain, where that is more: much may cost a little."""
MUST_GAIN = 0.002
"""Mean gain, nats, below which the cold start stays: it would be noise."""

LEAST_GROUPS = 3
"""Fewer clips do not tell what carries over."""
MOST_FOLDS = 6
"""With more groups than that, several are left out together."""

BranchName = Literal["present", "same_class", "confirmed", "refuted"]
T = TypeVar("T")
Rows = tuple[Sequence[Floats], Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Branch:
    """What one branch is learned from, and on which basis.

    Attributes:
        names: of the columns of its rows.
        rich: the largest basis.
        middle: columns of a basis between that and the cold start's, beside those of the latter.
        rows: its rows of some lessons.
    """

    names: tuple[str, ...]
    rich: Basis
    middle: tuple[str, ...]
    rows: Callable[[Lessons], Rows]


_BRANCHES: dict[BranchName, _Branch] = {
    "present": _Branch(
        SIGHT, PRESENT, ("best", "size", "mean"), lambda said: (said.sights, said.present)
    ),
    "same_class": _Branch(SIGHT, SAME_CLASS, ("smoothed", "hits", "margin"), with_object),
    "confirmed": _Branch(
        VERIFIED,
        CONFIRMED,
        ("smoothed", "speed", "hidden", "same_class", "agreed"),
        lambda said: (said.confirmed, said.stands),
    ),
    "refuted": _Branch(
        VERIFIED, REFUTED, ("smoothed", "speed", "hits"), lambda said: (said.refuted, said.returned)
    ),
}


def choose(groups: Sequence[Lessons]) -> tuple[RiskModel, dict[BranchName, BranchChoice]]:
    """The model of all groups, each branch of the basis that carries over best.

    Args:
        groups: lessons of clips, or of blocks of time. Of fewer than `LEAST_GROUPS` nothing is
            learned: the cold start stays.
    """
    cold = cold_start()
    branches: dict[str, Logistic] = {}
    choices: dict[BranchName, BranchChoice] = {}
    for name, branch in _BRANCHES.items():
        rows = [kept for kept in map(branch.rows, groups) if len(kept[1])]
        branches[name], choices[name] = _choose(branch, rows, getattr(cold, name))
    return RiskModel(**branches), choices


def _choose(branch: _Branch, groups: list[Rows], cold: Logistic) -> tuple[Logistic, BranchChoice]:
    count = sum(len(said) for _, said in groups)
    cold_losses = np.array([log_loss(cold, branch.names, rows) for rows in groups])
    cold_loss = float(cold_losses.mean()) if len(groups) else 0.0
    stays = BranchChoice(
        basis=COLD, penalty=0.0, rows=count, loss=cold_loss, cold_loss=cold_loss, worst_gain=0.0
    )
    if count < LEAST_ROWS or len(groups) < LEAST_GROUPS:
        return cold, stays
    best: tuple[Basis, BranchChoice] | None = None
    for name, basis in bases(branch.rich, branch.middle, cold.basis).items():
        for penalty in PENALTIES:
            losses = _left_out(branch.names, groups, basis, penalty, cold)
            gains = cold_losses - losses
            may_lose = max(MAY_LOSE, MAY_LOSE_SHARE * gains.mean())
            if gains.min() < -may_lose or gains.mean() < MUST_GAIN:
                continue
            if best is None or losses.mean() < best[1].loss:
                best = (
                    basis,
                    BranchChoice(
                        basis=name,
                        penalty=penalty,
                        rows=count,
                        loss=float(losses.mean()),
                        cold_loss=cold_loss,
                        worst_gain=float(gains.min()),
                    ),
                )
    if best is None:
        return cold, stays
    basis, choice = best
    return fit_branch(basis, branch.names, groups, choice.penalty, cold), choice


def _left_out(
    names: Sequence[str], groups: list[Rows], basis: Basis, penalty: float, cold: Logistic
) -> Floats:
    """float64 (len(groups),), log loss on each group of a model that has not seen its fold."""
    folds = min(MOST_FOLDS, len(groups))
    losses = np.empty(len(groups))
    for fold in range(folds):
        seen = [rows for number, rows in enumerate(groups) if number % folds != fold]
        model = fit_branch(basis, names, seen, penalty, cold)
        for number in range(fold, len(groups), folds):
            losses[number] = log_loss(model, names, groups[number])
    return losses


def bases(rich: Basis, middle: Sequence[str], cold: Basis) -> dict[str, Basis]:
    """The candidates by name; each holds the terms of the cold start's."""
    return {
        "small": cold,
        "middle": Basis(_united(cold.columns, middle), cold.hinges, cold.products),
        "rich": Basis(
            _united(cold.columns, rich.columns),
            _united(cold.hinges, rich.hinges),
            _united(cold.products, rich.products),
        ),
    }


def log_loss(model: Logistic, names: Sequence[str], rows: Rows) -> float:
    """Mean log loss of a regression on some rows, nats."""
    values, said = rows
    odds = np.clip(model.odds(np.stack(values), names), -50.0, 50.0)
    return float(np.mean(np.logaddexp(0.0, odds) - np.asarray(said) * odds))


def _united(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))
