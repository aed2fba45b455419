"""Rules for objects: by field, each key alike, the newer as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secondlook.shared.memory.merging.rule import (
    ABSENT,
    UNDECIDED,
    Rule,
    Sides,
    canonical,
    number,
    same,
)


@dataclass(frozen=True, slots=True)
class Fields(Rule):
    """An object, merged by field.

    Attributes:
        rules: the rules of the fields that have one.
        default: the rule of all others; ``None``: objects by field again, down to values that
            are undecided.
        alike: fields without which the others mean something else, such as the shape of a grid:
            where both sides changed the object, these must be the same on both and in the
            ancestor, else it is a conflict.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    default: Rule | None = None
    alike: tuple[str, ...] = ()

    def unite(self, sides: Sides) -> Any:
        """Each field by its rule."""
        if not sides.both(Mapping):
            return UNDECIDED.unite(sides)
        for name in self.alike:
            frame = sides.at(name)
            known = [v for v in (frame.base, frame.ours, frame.theirs) if v is not ABSENT]
            if not all(same(value, known[0]) for value in known):
                raise frame.conflict()
        default = DEFAULT if self.default is None else self.default
        return _by_key(sides, lambda name: self.rules.get(name, default))


DEFAULT: Final = Fields()
"""The rule of records whose kind is not known."""


@dataclass(frozen=True, slots=True)
class Each(Rule):
    """An object whose keys are not known beforehand; all values have one rule."""

    rule: Rule

    def unite(self, sides: Sides) -> Any:
        """Each value by the one rule."""
        if not sides.both(Mapping):
            return UNDECIDED.unite(sides)
        return _by_key(sides, lambda _: self.rule)


@dataclass(frozen=True, slots=True)
class Latest(Rule):
    """A register: of two objects the one with the newer stamp stands, as a whole.

    Of equal stamps, or none, one is chosen in the same way on both sides.

    Attributes:
        stamp: the field with a number that grows, such as the time of the observation.
        apart: fields that are no part of the register, with rules of their own.
    """

    stamp: str = "at_s"
    apart: Mapping[str, Rule] = field(default_factory=dict)

    def unite(self, sides: Sides) -> Any:
        """The newer one, with the fields that are apart."""
        if not sides.both(Mapping):
            return UNDECIDED.unite(sides)
        ours, theirs = self._register(sides.ours), self._register(sides.theirs)
        base = self._register(sides.base) if isinstance(sides.base, Mapping) else ABSENT
        if same(ours, base):
            merged = theirs
        elif same(theirs, base):
            merged = ours
        else:
            merged = max(ours, theirs, key=self._age)
        for name, rule in self.apart.items():
            value = rule.decide(sides.at(name))
            if value is not ABSENT:
                merged[name] = value
        return merged

    def _register(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in value.items() if name not in self.apart}

    def _age(self, register: Mapping[str, Any]) -> tuple[float, str]:
        stamp = register.get(self.stamp)
        return (stamp if number(stamp) else -math.inf), canonical(register)


def _by_key(sides: Sides, rule_of: Callable[[str], Rule]) -> dict[str, Any]:
    merged = {}
    for name in sorted(sides.ours.keys() | sides.theirs.keys()):
        value = rule_of(name).decide(sides.at(name))
        if value is not ABSENT:
            merged[name] = value
    return merged
