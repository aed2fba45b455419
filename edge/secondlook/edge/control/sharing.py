"""Several cameras share one budget: max-min fair by weight; what one does not need is lent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Claim:
    """What a camera asks of a shared budget.

    Attributes:
        camera: its id.
        wanted: units a second that it would spend; infinite where it takes what it can get.
        required: of these, what its certified threshold demands; served before all else.
        weight: its part, against the others'.

    Raises:
        InvalidInput: a rate is negative or not a number, or the weight is not above 0.
    """

    camera: str
    wanted: float
    required: float = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.wanted >= 0 or not (math.isfinite(self.required) and self.required >= 0):
            raise InvalidInput(f"claim of {self.camera}: rates of 0 or more expected")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InvalidInput(f"claim of {self.camera}: weight is {self.weight}; above 0 expected")


@dataclass(frozen=True, slots=True)
class Share:
    """What a camera gets of a shared budget, and why.

    Attributes:
        camera: its id.
        granted: units a second.
        fair: what it would get if all wanted everything, units a second.
        wanted: what it asked for, units a second.
        required: what its certified threshold demands, units a second.
        reason: why it gets this much, in plain words.
    """

    camera: str
    granted: float
    fair: float
    wanted: float
    required: float
    reason: str


def share(rate: float, claims: Sequence[Claim]) -> tuple[Share, ...]:
    """Divide a budget: first what thresholds demand, then what is wanted, then what is left over.

    Each step is max-min fair by weight: nobody gets more while someone who gets less, in proportion
    to the weights, still lacks something. What nobody wants is spread by weight, so that a camera
    may begin to ask at once. The shares add up to the rate.

    Args:
        rate: the budget, units a second.
        claims: of each camera.

    Raises:
        InvalidInput: the rate is negative or not a number.
    """
    if not (math.isfinite(rate) and rate >= 0):
        raise InvalidInput(f"rate is {rate}; a finite number of 0 or more expected")
    if not claims:
        return ()
    weights = {claim.camera: claim.weight for claim in claims}
    required = pour(rate, {c.camera: c.required for c in claims}, weights)
    # Who already has something is not lifted before the others have as much: fill from the bottom.
    levels = pour(
        rate, {c.camera: max(c.wanted, c.required) for c in claims}, weights, floors=required
    )
    left = max(0.0, rate - sum(levels.values()))
    total = sum(weights.values())
    shares = []
    for claim in claims:
        fair = rate * claim.weight / total
        granted = levels[claim.camera] + left * claim.weight / total
        shares.append(
            Share(
                claim.camera,
                granted,
                fair,
                claim.wanted,
                claim.required,
                _reason(claim, granted, fair),
            )
        )
    return tuple(shares)


def pour(
    rate: float,
    limits: Mapping[str, float],
    weights: Mapping[str, float],
    *,
    floors: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Water-filling: raise all levels together, in proportion to weights, up to their limits.

    Args:
        rate: what is poured.
        limits: most that each takes, possibly infinite.
        weights: how fast each level rises.
        floors: where each begins; their sum is at most the rate.

    Returns:
        The level of each; their sum is the rate, or less where all limits are reached.
    """
    ground = {key: (floors or {}).get(key, 0.0) for key in limits}

    def level(key: str, height: float) -> float:
        return max(ground[key], min(limits[key], height * weights[key]))

    # The heights at which somebody starts or stops to rise: between them the sum is linear.
    bends = {0.0}
    for key in limits:
        bends.add(ground[key] / weights[key])
        if math.isfinite(limits[key]):
            bends.add(limits[key] / weights[key])
    low = 0.0
    for height in sorted(bends):
        if sum(level(key, height) for key in limits) > rate:
            break
        low = height
    base = {key: level(key, low) for key in limits}
    rising = [k for k in limits if base[k] < limits[k] and ground[k] <= low * weights[k]]
    left = rate - sum(base.values())
    speed = sum(weights[key] for key in rising)
    if left > 0 and speed > 0:
        for key in rising:
            base[key] = min(limits[key], base[key] + left * weights[key] / speed)
    return base


def table(shares: Sequence[Share], unit: str, scale: float, spent: Mapping[str, float]) -> str:
    """Who got what and why, as lines of text.

    Args:
        shares: of each camera.
        unit: of the amounts shown, for the heading.
        scale: units of the shares in one unit shown.
        spent: what each really spent, units of the shares a second.
    """
    wide = max([6, *(len(one.camera) for one in shares)])
    lines = [f"{'camera':{wide}}  {'spent':>8}  {'gets':>8}  {'fair':>8}  {unit}/s, and why"]
    for one in shares:
        amounts = (spent.get(one.camera, 0.0), one.granted, one.fair)
        columns = "  ".join(f"{amount / scale:8.2f}" for amount in amounts)
        lines.append(f"{one.camera:{wide}}  {columns}  {one.reason}")
    return "\n".join(lines)


def _reason(claim: Claim, granted: float, fair: float) -> str:
    if granted < claim.required:
        return "its threshold demands more than its part of the budget"
    if claim.required > fair and granted <= claim.required:
        return "its threshold demands it; others give way"
    if granted >= claim.wanted:
        return "all that it asks for" if granted <= fair else "all that it asks for; others lend"
    if granted > fair:
        return "its fair part, and what others do not need"
    if granted < fair:
        return "less than its fair part: thresholds of others come first"
    return "its fair part"
