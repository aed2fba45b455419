"""Our walk over thresholds against another library's Learn-then-Test."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from secondlook.shared.trust import AuditCounts, hoeffding_bentkus_p, walk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports
    from mapie.risk_control.fwer_control import control_fwer
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

GRID = np.linspace(0, 1, 21)


# They take the next whole number of misses, and leave rounding to chance: 4.0000000001 counts as 5.
A_LITTLE_LESS = 1 - 1e-12


def test_p_values_for_losses_of_any_size_agree() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        n, alpha = int(rng.integers(5, 3000)), float(rng.uniform(0.005, 0.4))
        # Sums of losses that are whole, and sums that are not.
        means = np.r_[0, rng.integers(0, n, 5) / n, rng.uniform(0.01, 0.9, 5)]
        theirs = compute_hoeffding_bentkus_p_value(means * A_LITTLE_LESS, n, alpha)[:, 0]
        ours = hoeffding_bentkus_p(means, n, alpha)
        np.testing.assert_allclose(ours, np.minimum(theirs, 1), rtol=1e-6, atol=1e-200)


@pytest.mark.parametrize("seed", range(8))
def test_the_accepted_thresholds_are_those_of_fixed_sequence_testing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(40):
        n = int(rng.integers(1, 3000))
        alpha, delta = float(rng.choice([0.01, 0.03, 0.1])), float(rng.choice([0.05, 0.2]))
        rate = alpha * rng.uniform(0, 2)
        risks = np.where(rng.random(n) < rate, rng.random(n) ** 2, np.inf)
        counts = AuditCounts(GRID)
        counts.saw(0.01, 100 * n)
        for risk in risks[risks <= 1]:
            counts.looked(0.01, float(risk))
        counts.add(0.01, n - counts.audits, np.zeros(len(GRID), np.int64))
        accepted = walk(counts, alpha, delta).index
        # The first threshold needs no test; theirs begins with the second.
        tested = counts.misses[1:]
        means = tested / n * A_LITTLE_LESS
        p_values = compute_hoeffding_bentkus_p_value(means, n, alpha, binary=True)[:, 0]
        theirs = control_fwer(p_values, delta, "fixed_sequence")
        assert accepted == len(theirs)
        assert list(theirs) == list(range(len(theirs)))
