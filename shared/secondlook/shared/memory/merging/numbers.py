"""Rules for numbers: counters that add, grids of them, the largest and the smallest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from secondlook.shared.memory.merging.rule import (
    UNDECIDED,
    Rule,
    Sides,
    canonical,
    number,
    whole,
)


@dataclass(frozen=True, slots=True)
class Counter(Rule):
    """A whole number that both sides count on: what each added is added. Absent is 0."""

    def unite(self, sides: Sides) -> Any:
        """The ancestor's count with both differences."""
        if not (whole(sides.ours) and whole(sides.theirs)):
            return UNDECIDED.unite(sides)
        base = sides.base if whole(sides.base) else 0
        return sides.ours + sides.theirs - base


@dataclass(frozen=True, slots=True)
class Grid(Rule):
    """A list of counters in fixed places. Another length is another grid: a conflict."""

    def unite(self, sides: Sides) -> Any:
        """The ancestor's counts with both differences, place by place."""
        if not (_counts(sides.ours) and _counts(sides.theirs)):
            return UNDECIDED.unite(sides)
        base = sides.base if _counts(sides.base) else [0] * len(sides.ours)
        if not len(base) == len(sides.ours) == len(sides.theirs):
            raise sides.conflict()
        return [a + b - c for a, b, c in zip(sides.ours, sides.theirs, base, strict=True)]


@dataclass(frozen=True, slots=True)
class Largest(Rule):
    """The largest number; null is less than any."""

    def unite(self, sides: Sides) -> Any:
        """The larger one."""
        return _extreme(sides, max)


@dataclass(frozen=True, slots=True)
class Smallest(Rule):
    """The smallest number; null is more than any."""

    def unite(self, sides: Sides) -> Any:
        """The smaller one."""
        return _extreme(sides, min)


def _extreme(sides: Sides, choose: Callable[..., Any]) -> Any:
    numbers = [value for value in (sides.ours, sides.theirs) if value is not None]
    if not all(number(value) for value in numbers):
        return UNDECIDED.unite(sides)
    # 1 and 1.0 are equal and yet two values: their texts decide, the same on both sides.
    return choose(numbers, key=lambda value: (value, canonical(value)), default=None)


def _counts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(whole(item) for item in value)
