"""Logistic regression over named columns, straight pieces and products. Pure, and small.

Chosen over boosted trees because it costs microseconds a frame, needs no library on the edge, is
readable in a gate file, and extrapolates tamely on cameras it was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

Floats = npt.NDArray[np.float64]

_LIMIT = 1e6
"""No weight, knot or column is larger; beyond lies nonsense."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a regression is linear in.

    Attributes:
        columns: names of the columns it reads, a subset of those it is given.
        hinges: (column, knot): ``max(0, column - knot)``.
        products: (column, column): their product.
    """

    columns: tuple[str, ...]
    hinges: tuple[tuple[str, float], ...] = ()
    products: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        known = set(self.columns)
        if len(known) != len(self.columns):
            raise InvalidInput("basis.columns: a name occurs twice")
        used = {name for name, _ in self.hinges} | {n for pair in self.products for n in pair}
        if used - known:
            raise InvalidInput(f"basis: {min(used - known)!r} is none of its columns")

    @property
    def size(self) -> int:
        """Number of terms: a constant, the columns, the hinges, the products."""
        return 1 + len(self.columns) + len(self.hinges) + len(self.products)

    def expand(self, values: Floats, names: Sequence[str]) -> Floats:
        """float64 (n, size): the terms of each row.

        Args:
            values: float64 (n, len(names)).
            names: of its columns.

        Raises:
            InvalidInput: a column that is needed is not there.
        """
        columns, bent_columns, left, right = _places(self, tuple(names))
        out = np.empty((len(values), self.size))
        out[:, 0] = 1.0
        step = 1 + len(self.columns)
        out[:, 1:step] = values[:, columns]
        if self.hinges:
            bent = values[:, bent_columns] - np.array([knot for _, knot in self.hinges])
            out[:, step : step + len(self.hinges)] = np.maximum(bent, 0.0)
            step += len(self.hinges)
        if self.products:
            out[:, step:] = values[:, left] * values[:, right]
        return out


_Places = npt.NDArray[np.intp]


@lru_cache(maxsize=256)
def _places(basis: Basis, names: tuple[str, ...]) -> tuple[_Places, _Places, _Places, _Places]:
    """Where among ``names`` a basis finds its columns, its hinges, and both sides of its products.

    Looked up once: a frame is assessed by four regressions, always of the same columns.
    """
    at = {name: column for column, name in enumerate(names)}
    missing = [name for name in basis.columns if name not in at]
    if missing:
        raise InvalidInput(f"basis.columns: {missing[0]!r} is not known here")
    wanted = (
        basis.columns,
        [name for name, _ in basis.hinges],
        [name for name, _ in basis.products],
        [name for _, name in basis.products],
    )
    first, second, third, fourth = (np.array([at[n] for n in part], np.intp) for part in wanted)
    return first, second, third, fourth


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted regression.

    Attributes:
        basis: what it is linear in.
        weights: one for each term of the basis, log odds.

    Raises:
        InvalidInput: their number is wrong, or one is not a reasonable number.
    """

    basis: Basis
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != self.basis.size:
            raise InvalidInput(
                f"weights: {len(self.weights)} numbers; {self.basis.size} expected, one a term"
            )
        if not all(abs(weight) <= _LIMIT for weight in self.weights):
            raise InvalidInput(f"weights: a number that is not within {_LIMIT:g} of 0")

    def odds(self, values: Floats, names: Sequence[str]) -> Floats:
        """float64 (n,), log odds of each row; see `Basis.expand`."""
        odds: Floats = self.basis.expand(values, names) @ np.array(self.weights)
        return odds


def probability(odds: Floats) -> Floats:
    """The probability of log odds; never overflows."""
    kept = np.minimum(np.maximum(odds, -50.0), 50.0)  # np.clip takes twice as long
    out: Floats = 1.0 / (1.0 + np.exp(-kept))
    return out
