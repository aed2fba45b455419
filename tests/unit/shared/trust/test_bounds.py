"""The bounds against scipy, and against what is known of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import (
    audits_needed,
    certifying_power,
    clopper_pearson,
    hoeffding_bentkus,
    hoeffding_bentkus_p,
)


@pytest.mark.parametrize("delta", [0.2, 0.05, 1e-3])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 299), (1, 300), (17, 2546), (40, 50), (3, 4)])
def test_the_bound_is_that_of_scipys_exact_test(k: int, n: int, delta: float) -> None:
    interval = stats.binomtest(k, n).proportion_ci(1 - 2 * delta, method="exact")
    assert float(clopper_pearson(k, n, delta)) == pytest.approx(interval.high, rel=1e-9)
    one_sided = stats.beta.ppf(1 - delta, k + 1, n - k)
    assert float(clopper_pearson(k, n, delta)) == pytest.approx(one_sided, rel=1e-12)


def test_without_audits_or_without_a_right_one_nothing_is_known() -> None:
    assert clopper_pearson([0, 5], [0, 5], 0.05).tolist() == [1.0, 1.0]
    assert hoeffding_bentkus([0.0, 1.0], [0, 5], 0.05).tolist() == [1.0, 1.0]


def test_at_the_bound_so_few_misses_have_probability_delta() -> None:
    k, n = np.array([0, 3, 18]), np.array([300, 778, 2671])
    bound = clopper_pearson(k, n, 0.05)
    np.testing.assert_allclose(stats.binom.cdf(k, n, bound), 0.05, rtol=1e-9)


def test_how_many_audits_a_certificate_takes() -> None:
    # A search in steps of one percent, as is often tabled, ends at 299, 778 and 2671.
    assert audits_needed(0.01, 0.05, 0.0) == 299
    assert audits_needed(0.01, 0.05, 0.002) == 773
    assert audits_needed(0.01, 0.05, 0.005) == 2546
    assert certifying_power(299, 0.01, 0.05, 0.0) == 1.0
    assert certifying_power(778, 0.01, 0.05, 0.002) == pytest.approx(0.9273, abs=1e-4)
    assert certifying_power(2671, 0.01, 0.05, 0.005) == pytest.approx(0.9156, abs=1e-4)
    assert audits_needed(0.01, 0.05, 0.01) is None
    assert audits_needed(0.01, 0.05, 0.0099999) is None


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.005])
def test_no_smaller_number_of_audits_would_do(rate: float) -> None:
    needed = audits_needed(0.01, 0.05, rate)
    assert needed is not None
    k = np.arange(60)

    def power(n: int) -> float:
        allowed = int((stats.beta.ppf(0.95, k + 1, np.maximum(n - k, 1)) <= 0.01).sum()) - 1
        found = float(stats.binom.cdf(allowed, n, rate)) if allowed >= 0 else 0.0
        assert certifying_power(n, 0.01, 0.05, rate) == pytest.approx(found)
        return found

    assert power(needed) >= 0.9
    assert all(power(n) < 0.9 for n in range(max(1, needed - 150), needed))


def test_a_power_of_few_audits_is_none() -> None:
    assert certifying_power(0, 0.01, 0.05, 0.0) == 0.0
    assert certifying_power(298, 0.01, 0.05, 0.0) == 0.0


def test_hoeffding_bentkus_is_what_its_two_parts_say() -> None:
    for mean, n, alpha in ((0.0, 300, 0.01), (0.13, 40, 0.3), (0.02, 1000, 0.05), (0.5, 10, 0.4)):
        low = min(mean, alpha)
        left = 0.0 if low == 0 else low * math.log(low / alpha)
        divergence = left + (1 - low) * math.log((1 - low) / (1 - alpha))
        hoeffding = math.exp(-n * divergence)
        bentkus = math.e * stats.binom.cdf(math.ceil(n * mean - 1e-9), n, alpha)
        expected = min(1.0, hoeffding, bentkus)
        assert float(hoeffding_bentkus_p(mean, n, alpha)) == pytest.approx(expected)


def test_the_bound_of_a_mean_is_where_its_p_value_reaches_delta() -> None:
    mean, n = np.array([0.0, 0.01, 0.2]), np.array([300, 500, 100])
    bound = hoeffding_bentkus(mean, n, 0.05)
    assert (hoeffding_bentkus_p(mean, n, bound) <= 0.05).all()
    assert (hoeffding_bentkus_p(mean, n, bound * (1 - 1e-6)) > 0.05).all()
    # For losses of 0 and 1 the exact bound is never looser.
    assert (clopper_pearson(np.round(mean * n), n, 0.05) <= bound + 1e-12).all()


NAN = float("nan")


@pytest.mark.parametrize(
    "call",
    [
        lambda: clopper_pearson(-1, 10, 0.05),
        lambda: clopper_pearson(11, 10, 0.05),
        lambda: clopper_pearson(0.5, 10, 0.05),
        lambda: clopper_pearson(NAN, 10, 0.05),
        lambda: clopper_pearson(0, 10**300, 0.05),
        lambda: clopper_pearson(0, math.inf, 0.05),
        lambda: clopper_pearson("many", 10, 0.05),
        lambda: clopper_pearson(0, 10, 0.0),
        lambda: clopper_pearson(0, 10, 1.0),
        lambda: clopper_pearson(0, 10, NAN),
        lambda: clopper_pearson(0, 10, True),
        lambda: clopper_pearson(0, 10, "0.05"),  # type: ignore[arg-type]
        lambda: hoeffding_bentkus_p(1.1, 10, 0.1),
        lambda: hoeffding_bentkus_p(NAN, 10, 0.1),
        lambda: hoeffding_bentkus_p(0.1, 0, 0.1),
        lambda: hoeffding_bentkus_p(0.1, 10, 1.0),
        lambda: hoeffding_bentkus(-0.1, 10, 0.05),
        lambda: hoeffding_bentkus(0.1, 10, 2),
        lambda: audits_needed(0.01, 0.05, -0.1),
        lambda: audits_needed(0.01, 0.05, NAN),
        lambda: audits_needed(1.5, 0.05),
        lambda: audits_needed(0.01, 0.05, 0.0, power=1.0),
        lambda: certifying_power(-5, 0.01, 0.05, 0.0),
        lambda: certifying_power(10, 0.01, 0.05, 1.0),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call: object) -> None:
    with pytest.raises(InvalidInput):
        call()  # type: ignore[operator]
