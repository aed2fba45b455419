"""What a count of misses says about a rate: exact upper bounds, and how many audits they need.

All functions take scalars or arrays, which are broadcast. scipy is imported when a bound is
computed, not before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

Floats = npt.NDArray[np.float64]

MAX_AUDITS = 10**11
"""Most audits a bound is computed for."""
_MOST_NEEDED = 10**6
_HALVINGS = 60


def check_share(name: str, value: object) -> float:
    """A number strictly between 0 and 1; returns it.

    Raises:
        InvalidInput: it is not, or it is no number.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1:
        raise InvalidInput(f"{name} is {value!r}; a number above 0 and below 1 expected")
    return float(value)


def check_probability(value: object) -> float:
    """An audit probability: above 0 and at most 1.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise InvalidInput(f"audit probability is {value!r}; above 0 and at most 1 expected")
    return float(value)


def clopper_pearson(misses: npt.ArrayLike, audits: npt.ArrayLike, delta: float) -> Floats:
    """Upper bound of a rate of which ``misses`` of ``audits`` were seen.

    With probability 1 - ``delta`` or more the rate is not above it: BetaInv(1 - δ; k + 1, n - k).
    Without audits, and where all of them missed, it is 1.

    Args:
        misses: k, whole numbers.
        audits: n, whole numbers.
        delta: allowed probability of being wrong.

    Returns:
        float64, of the broadcast shape.

    Raises:
        InvalidInput: a count is negative, no whole number or above the other.
    """
    from scipy.special import betaincinv

    check_share("delta", delta)
    k, n = _counts(misses, audits)
    open_ended = k >= n
    bound = betaincinv(k + 1, np.where(open_ended, 1, n - k), 1 - delta)
    return np.asarray(np.where(open_ended, 1.0, bound), np.float64)


def hoeffding_bentkus_p(mean: npt.ArrayLike, audits: npt.ArrayLike, alpha: npt.ArrayLike) -> Floats:
    """How surprising a mean loss is where the true one is ``alpha`` or more: a p-value.

    For losses anywhere in [0, 1], such as the share of objects that were missed. Smaller of
    Hoeffding's bound in its tight form and Bentkus' bound.

    Args:
        mean: the mean of the losses, 0 to 1.
        audits: n, whole numbers from 1 on.
        alpha: the loss that is tested, above 0 and below 1.

    Returns:
        float64, of the broadcast shape, 0 to 1.

    Raises:
        InvalidInput: an argument is out of its range.
    """
    from scipy.special import bdtr, xlogy

    r, n, a = np.broadcast_arrays(*(_numbers(v) for v in (mean, audits, alpha)))
    if not ((r >= 0) & (r <= 1)).all():
        raise InvalidInput("mean: losses from 0 to 1 expected")
    if not ((a > 0) & (a < 1)).all():
        raise InvalidInput("alpha: above 0 and below 1 expected")
    if not ((n >= 1) & (n <= MAX_AUDITS) & (n == np.floor(n))).all():
        raise InvalidInput(f"audits: whole numbers from 1 to {MAX_AUDITS} expected")
    low = np.minimum(r, a)
    # The divergence of two coins; xlogy is 0 where both are 0.
    divergence = xlogy(low, low / a) + xlogy(1 - low, (1 - low) / (1 - a))
    hoeffding = np.exp(-n * divergence)
    # A sum that is whole but for rounding must not become the next whole number.
    bentkus = math.e * bdtr(np.minimum(np.ceil(n * r - 1e-9), n), n.astype(np.int64), a)
    return np.asarray(np.minimum(1.0, np.minimum(hoeffding, bentkus)), np.float64)


def hoeffding_bentkus(mean: npt.ArrayLike, audits: npt.ArrayLike, delta: float) -> Floats:
    """Upper bound of a mean loss in [0, 1], of which ``mean`` was seen in ``audits``.

    The largest α that is not refuted at level ``delta``. Without audits it is 1.

    Raises:
        InvalidInput: an argument is out of its range.
    """
    check_share("delta", delta)
    r, n = np.broadcast_arrays(_numbers(mean), _numbers(audits))
    if not ((r >= 0) & (r <= 1)).all():
        raise InvalidInput("mean: losses from 0 to 1 expected")
    empty = n == 0
    some = np.where(empty, 1, n)
    low, high = np.array(np.clip(r, 1e-12, 1 - 1e-12)), np.full(r.shape, 1 - 1e-12)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        refuted = hoeffding_bentkus_p(r, some, middle) <= delta
        high, low = np.where(refuted, middle, high), np.where(refuted, low, middle)
    return np.asarray(np.where(empty | (high >= 1 - 1e-9), 1.0, high), np.float64)


def audits_needed(
    alpha: float, delta: float, true_rate: float = 0.0, power: float = 0.9
) -> int | None:
    """Fewest audits with which a rate of ``true_rate`` is certified with probability ``power``.

    At α = 1 %, δ = 5 % and a power of 90 %: 299 without any miss, 773 at 0.2 %, 2546 at 0.5 %.

    Args:
        alpha: promised rate.
        delta: allowed probability of a wrong certificate.
        true_rate: the rate there really is.
        power: wanted probability of a certificate.

    Returns:
        How many; ``None`` where no number up to 10^6 is enough, as where the true rate is not
        below the promised one.

    Raises:
        InvalidInput: an argument is out of its range.
    """
    from scipy.special import bdtr

    check_share("alpha", alpha)
    check_share("delta", delta)
    check_share("power", power)
    if not 0 <= true_rate < 1:
        raise InvalidInput(f"true_rate is {true_rate!r}; from 0 to below 1 expected")
    if true_rate >= alpha or certifying_power(_MOST_NEEDED, alpha, delta, true_rate) < power:
        return None
    n, k = 1, 0
    # Of all numbers of audits that allow k misses, the fewest has the most power.
    while n <= _MOST_NEEDED:
        n = _fewest(k, n, alpha, delta)
        if bdtr(k, n, true_rate) >= power:
            return n
        k += 1
    return None


def certifying_power(audits: int, alpha: float, delta: float, true_rate: float) -> float:
    """Probability that so many audits certify ``alpha`` where the rate is ``true_rate``.

    It falls a little from one number of allowed misses to the next: more audits may have less.

    Raises:
        InvalidInput: an argument is out of its range.
    """
    from scipy.special import bdtr

    check_share("alpha", alpha)
    check_share("delta", delta)
    _counts(0, audits)
    if not 0 <= true_rate < 1:
        raise InvalidInput(f"true_rate is {true_rate!r}; from 0 to below 1 expected")
    if audits == 0 or bdtr(0, audits, alpha) > delta:
        return 0.0
    low, high = 0, audits  # misses that are allowed, misses that are too many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bdtr(middle, audits, alpha) <= delta else (low, middle)
    return float(bdtr(low, audits, true_rate))


def _fewest(k: int, least: int, alpha: float, delta: float) -> int:
    """Fewest audits that certify ``alpha`` with ``k`` misses; at least ``least``."""
    from scipy.special import bdtr

    low, high = least - 1, max(least, k + 1)
    while bdtr(k, high, alpha) > delta:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if middle > k and bdtr(k, middle, alpha) <= delta:
            high = middle
        else:
            low = middle
    return high


def _counts(misses: npt.ArrayLike, audits: npt.ArrayLike) -> tuple[Floats, Floats]:
    k, n = np.broadcast_arrays(_numbers(misses), _numbers(audits))
    for name, value in (("misses", k), ("audits", n)):
        if not ((value >= 0) & (value <= MAX_AUDITS) & (value == np.floor(value))).all():
            raise InvalidInput(f"{name}: whole numbers from 0 to {MAX_AUDITS} expected")
    if (k > n).any():
        raise InvalidInput("misses: more misses than audits")
    return k, n


def _numbers(value: npt.ArrayLike) -> Any:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"numbers expected: {error}") from error
