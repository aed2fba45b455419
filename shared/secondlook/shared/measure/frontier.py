"""The price of quality: what a system needs for a given F1, read off the points it was measured at.

The points of one system lie on a curve of F1 over KB. What counts of it is the upper hull: the
best that can be had by running at one point for some of the time and at another for the rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput

Point = tuple[float, float]
"""KB and F1."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What a system needs for an F1.

    Attributes:
        kb: KB; ``None``: the F1 is not reached at any point measured.
        at_most: it reaches that F1 at its cheapest point already; how little would do is unknown.
    """

    kb: float | None
    at_most: bool = False


def upper_hull(points: Sequence[Point]) -> list[Point]:
    """The concave, rising border of ``points``, cheapest first.

    Raises:
        InvalidInput: a point is not finite.
    """
    if not all(math.isfinite(value) for point in points for value in point):
        raise InvalidInput("a point of a curve is not finite")
    rising: list[Point] = []
    # Of equal prices the best; then only what is better than all that is cheaper.
    for kb, f1 in sorted(points, key=lambda point: (point[0], -point[1])):
        if not rising or f1 > rising[-1][1]:
            rising.append((kb, f1))
    hull: list[Point] = []
    for point in rising:
        while len(hull) >= 2 and _below(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def needed(points: Sequence[Point], f1: float) -> Needed:
    """KB that the system of ``points`` needs for ``f1``, between its points by straight lines."""
    hull = upper_hull(points)
    if not hull or f1 > hull[-1][1]:
        return Needed(None)
    if f1 <= hull[0][1]:
        return Needed(hull[0][0], at_most=f1 < hull[0][1])
    for (kb, low), (next_kb, high) in itertools.pairwise(hull):
        if f1 <= high:
            return Needed(kb + (next_kb - kb) * (f1 - low) / (high - low))
    raise AssertionError("unreachable: the last point of the hull is at or above f1")


def _below(a: Point, b: Point, c: Point) -> bool:
    """Whether ``b`` lies on or below the line from ``a`` to ``c``."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
