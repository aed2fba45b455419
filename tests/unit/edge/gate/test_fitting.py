"""Fitting: what the lessons say where they say much, the prior where they say little."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from secondlook.edge.gate.fitting import LEAST_ROWS, fit, fit_branch, in_basis
from secondlook.edge.gate.logistic import Basis, Logistic, probability

NAMES = ("a", "b")


def rows(count: int, weights: tuple[float, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    terms = np.concatenate([np.ones((count, 1)), draw.normal(2.0, 3.0, (count, 2))], axis=1)
    said = draw.random(count) < probability(terms @ np.array(weights))
    return terms, said.astype(float)


@pytest.mark.parametrize("penalty", [0.1, 5.0, 1000.0])
def test_it_is_where_the_loss_is_least(penalty: float) -> None:
    terms, said = rows(300, (0.5, 1.0, -2.0))
    prior = np.array([0.2, 0.3, -0.4])
    found = fit(terms, said, np.ones(300), np.zeros(300, np.intp), penalty, prior)
    mean, scale = terms[:, 1:].mean(axis=0), terms[:, 1:].std(axis=0)

    def loss(beta: np.ndarray) -> float:
        # As it is defined: columns standardised, an offset of the clip, everything penalised.
        odds = beta[0] + (terms[:, 1:] - mean) / scale @ beta[1:3] + beta[3]
        drawn = np.array([prior[0] + prior[1:] @ mean, *(prior[1:] * scale), 0.0])
        strength = np.array([penalty, penalty, penalty, 1.0])
        value = np.sum(np.logaddexp(0.0, odds) - said * odds)
        return float(value + 0.5 * np.sum(strength * (beta - drawn) ** 2))

    best = minimize(loss, np.zeros(4), method="Nelder-Mead",
                    options={"maxiter": 20_000, "xatol": 1e-7, "fatol": 1e-9}).x  # fmt: skip
    slopes = best[1:3] / scale
    expected = np.array([best[0] - slopes @ mean, *slopes])
    assert found == pytest.approx(expected, abs=2e-3)


def test_many_rows_tell_and_few_do_not() -> None:
    truth, cold = (0.5, 1.0, -1.0), Logistic(Basis(NAMES), (0.0, 0.0, 0.0))
    terms, said = rows(5000, truth)
    fitted = fit_branch(Basis(NAMES), NAMES, [(list(terms[:, 1:]), said.tolist())], 2.0, cold)
    assert fitted.weights[1:] == pytest.approx(truth[1:], abs=0.15)
    few = LEAST_ROWS - 1
    same = fit_branch(
        Basis(NAMES), NAMES, [(list(terms[:few, 1:]), said[:few].tolist())], 2.0, cold
    )
    assert same is cold
    ones = [1.0] * 200
    assert fit_branch(Basis(NAMES), NAMES, [(list(terms[:200, 1:]), ones)], 2.0, cold) is cold


def test_what_differs_from_clip_to_clip_is_not_learned() -> None:
    cold = Logistic(Basis(NAMES), (0.0, 1.0, 0.0))
    clips = []
    for offset, seed in ((2.0, 1), (-2.0, 2)):
        terms, said = rows(1500, (offset, 1.0, 0.0), seed)
        clips.append((list(terms[:, 1:]), said.tolist()))
    fitted = fit_branch(Basis(NAMES), NAMES, clips, 2.0, cold)
    assert fitted.weights[0] == pytest.approx(0.0, abs=0.4)
    assert fitted.weights[1] == pytest.approx(1.0, abs=0.15)


def test_lessons_that_a_line_parts_give_finite_weights() -> None:
    values = np.linspace(-5, 5, 200)[:, None].repeat(2, axis=1)
    said = (values[:, 0] > 0).astype(float)
    cold = Logistic(Basis(NAMES), (0.0, 0.0, 0.0))
    fitted = fit_branch(Basis(NAMES), NAMES, [(list(values), said.tolist())], 0.01, cold)
    assert np.isfinite(fitted.weights).all()
    assert (fitted.odds(values, NAMES) > 0).tolist() == (said > 0).tolist()


def test_a_column_that_never_changes_keeps_its_prior() -> None:
    cold = Logistic(Basis(NAMES), (0.0, 0.0, 0.7))
    terms, said = rows(500, (0.0, 1.0, 0.0))
    terms[:, 2] = 3.0
    fitted = fit_branch(Basis(NAMES), NAMES, [(list(terms[:, 1:]), said.tolist())], 2.0, cold)
    assert fitted.weights[2] == 0.7


def test_a_larger_basis_says_the_same_at_first() -> None:
    small = Logistic(Basis(("b",)), (0.5, 2.0))
    large = Basis(("a", "b"), (("a", 1.0),), (("a", "b"),))
    values = np.random.default_rng(0).normal(size=(5, 2))
    wide = Logistic(large, tuple(in_basis(small, large).tolist()))
    assert np.allclose(wide.odds(values, NAMES), small.odds(values, NAMES))
