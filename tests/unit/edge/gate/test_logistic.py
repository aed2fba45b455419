"""Logistic regression over named columns."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from secondlook.edge.gate.logistic import Basis, Logistic, probability
from secondlook.shared.errors import InvalidInput

NAMES = ("c", "b", "a")
BASIS = Basis(("a", "b"), hinges=(("a", 1.0), ("b", -1.0)), products=(("a", "b"), ("a", "a")))


def test_terms_are_a_constant_columns_hinges_and_products() -> None:
    rows = np.array([[9.0, 3.0, 2.0], [9.0, -4.0, 0.5]])
    assert BASIS.size == 7
    np.testing.assert_array_equal(
        BASIS.expand(rows, NAMES),
        [[1, 2, 3, 1, 4, 6, 4], [1, 0.5, -4, 0, 0, -2, 0.25]],
    )
    assert BASIS.expand(np.empty((0, 3)), NAMES).shape == (0, 7)


def test_the_constant_alone_is_a_basis() -> None:
    alone = Logistic(Basis(()), (0.5,))
    np.testing.assert_array_equal(alone.odds(np.zeros((2, 3)), NAMES), [0.5, 0.5])


def test_odds_weigh_the_terms() -> None:
    model = Logistic(BASIS, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
    odds = model.odds(np.array([[9.0, 3.0, 2.0]]), NAMES)
    assert odds.tolist() == [1 + 4 + 9 + 4 + 20 + 36 + 28]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Basis(("a", "a")), "twice"),
        (lambda: Basis(("a",), hinges=(("b", 0.0),)), "'b'"),
        (lambda: Basis(("a",), products=(("a", "c"),)), "'c'"),
        (lambda: Logistic(BASIS, (1.0,)), "7 expected"),
        (lambda: Logistic(Basis(()), (math.nan,)), "not within"),
        (lambda: Logistic(Basis(()), (math.inf,)), "not within"),
        (lambda: Logistic(Basis(()), (1e9,)), "not within"),
        (lambda: BASIS.expand(np.zeros((1, 1)), ("a",)), "'b' is not known"),
    ],
)
def test_what_does_not_fit_is_named(make: object, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        make()  # type: ignore[operator]


def test_probabilities_never_overflow_and_are_symmetric() -> None:
    odds = np.array([-1e300, -1e4, -2.0, 0.0, 2.0, 1e4, 1e300, np.inf, -np.inf])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chances = probability(odds)
    assert np.isfinite(chances).all()
    assert ((chances >= 0) & (chances <= 1)).all()
    assert chances[3] == 0.5
    assert chances[2] + chances[4] == pytest.approx(1.0)
    assert (np.diff(chances[:7]) >= 0).all()
