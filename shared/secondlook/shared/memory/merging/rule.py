"""What a merge rule is, and what all of them have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, TypeGuard

from secondlook.shared.errors import MergeConflict


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""In the place of a value: the document has no such field."""


@dataclass(frozen=True, slots=True)
class Sides:
    """One field in three documents. Each value is JSON, or `ABSENT`.

    Attributes:
        path: the field, as ``a.b[2]``; empty for the whole document.
        base: its value in the common ancestor.
        ours: its value on this side.
        theirs: its value on the other side.
        record_id: the record whose documents these are; empty where they are of none.
    """

    path: str
    base: Any
    ours: Any
    theirs: Any
    record_id: str = ""

    def at(self, name: str) -> Sides:
        """The field ``name`` of three maps; of what is no map it is absent."""
        base, ours, theirs = (
            value.get(name, ABSENT) if isinstance(value, Mapping) else ABSENT
            for value in (self.base, self.ours, self.theirs)
        )
        path = f"{self.path}.{name}" if self.path else name
        return replace(self, path=path, base=base, ours=ours, theirs=theirs)

    def both(self, types: type | tuple[type, ...]) -> bool:
        """Whether ours and theirs are of that type, or of one of those."""
        return isinstance(self.ours, types) and isinstance(self.theirs, types)

    def conflict(self) -> MergeConflict:
        """The error that carries both sides."""
        base, ours, theirs = (
            None if value is ABSENT else value for value in (self.base, self.ours, self.theirs)
        )
        return MergeConflict(self.path or "data", base, ours, theirs, self.record_id)


class Rule(ABC):
    """How one value is merged. Immutable; declared beside the schema of its kind.

    Where one side left a value as it was, the other side's stands exactly, be it a change or a
    removal; and a change stands against a removal. Only where both sides changed a value does the
    rule itself decide. Every rule MUST be symmetric: ours and theirs may change places.
    """

    __slots__ = ()

    def decide(self, sides: Sides) -> Any:
        """The merged value, or `ABSENT`.

        Raises:
            MergeConflict: nothing decides.
        """
        if same(sides.ours, sides.base):
            return sides.theirs
        if same(sides.theirs, sides.base):
            return sides.ours
        if sides.ours is ABSENT:
            return sides.theirs
        if sides.theirs is ABSENT:
            return sides.ours
        return self.unite(sides)

    @abstractmethod
    def unite(self, sides: Sides) -> Any:
        """Of two values that both differ from the base: the merged one.

        Raises:
            MergeConflict: nothing decides.
        """


@dataclass(frozen=True, slots=True)
class Undecided(Rule):
    """A value that cannot be taken apart: different changes on both sides are a conflict."""

    def unite(self, sides: Sides) -> Any:
        """The same on both sides, or a conflict."""
        if same(sides.ours, sides.theirs):
            return sides.ours
        raise sides.conflict()


UNDECIDED: Final = Undecided()


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; 1, 1.0 and true are three."""
    if one is other:
        return True
    if one is ABSENT or other is ABSENT:
        return False
    return canonical(one) == canonical(other)


def canonical(value: Any) -> str:
    """One text for each JSON value; orders values where nothing better does."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; true and false are none, neither is 1.0."""
    return isinstance(value, int) and not isinstance(value, bool)
