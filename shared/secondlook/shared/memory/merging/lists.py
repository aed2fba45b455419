"""Rules for lists: sets, logs, and lists of objects that have a key."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from secondlook.shared.memory.merging.maps import DEFAULT
from secondlook.shared.memory.merging.rule import (
    ABSENT,
    UNDECIDED,
    Rule,
    Sides,
    canonical,
    number,
    same,
)

_LISTS = (list, tuple)


@dataclass(frozen=True, slots=True)
class UnionSet(Rule):
    """A list as a set of values.

    What one side added is in, what one side removed of the other's unchanged is out. What the
    ancestor had keeps its order; additions follow, sorted.
    """

    def unite(self, sides: Sides) -> Any:
        """Both sides' additions, without both sides' removals."""
        if not sides.both(_LISTS) or same(sides.ours, sides.theirs):
            return UNDECIDED.unite(sides)
        base, ours, theirs = (
            {canonical(value): value for value in _items(side)}
            for side in (sides.base, sides.ours, sides.theirs)
        )
        kept = [value for text, value in base.items() if text in ours and text in theirs]
        added = {text: value for text, value in (ours | theirs).items() if text not in base}
        return kept + [added[text] for text in sorted(added)]


@dataclass(frozen=True, slots=True)
class Appended(Rule):
    """A log: both sides' entries, at most ``limit`` of them, the last ones.

    What the ancestor had and nobody removed keeps its order; additions follow, by their stamp.
    The same entry added by both sides is one entry.

    Attributes:
        limit: most entries.
        stamp: the field of an entry by which additions are ordered; entries without it come first.
    """

    limit: int
    stamp: str = "at_s"

    def unite(self, sides: Sides) -> Any:
        """What was kept, then what both sides added."""
        if not sides.both(_LISTS) or same(sides.ours, sides.theirs):
            return UNDECIDED.unite(sides)
        values = {
            canonical(value): value
            for side in (sides.base, sides.ours, sides.theirs)
            for value in _items(side)
        }
        base, ours, theirs = (
            Multiset(map(canonical, _items(side)))
            for side in (sides.base, sides.ours, sides.theirs)
        )
        left = base - ((base - ours) | (base - theirs))
        kept = []
        for text in map(canonical, _items(sides.base)):
            if left[text]:
                left[text] -= 1
                kept.append(values[text])
        added = ((ours - base) | (theirs - base)).elements()
        order = sorted(added, key=lambda text: (self._stamp(values[text]), text))
        entries = kept + [values[text] for text in order]
        return entries[max(0, len(entries) - self.limit) :]

    def _stamp(self, entry: Any) -> Any:
        stamp = entry.get(self.stamp) if isinstance(entry, Mapping) else None
        return stamp if number(stamp) else float("-inf")


@dataclass(frozen=True, slots=True)
class KeyedList(Rule):
    """A list of objects, each with a key that no other has; merged object by object.

    Where the sides disagree about the order, what the ancestor had keeps it and additions follow,
    sorted by key. A list with objects without key, or with a key twice, is undecided.

    Attributes:
        key: the field that holds an object's key: text or a whole number.
        item: the rule of an object.
    """

    key: str
    item: Rule = DEFAULT

    def unite(self, sides: Sides) -> Any:
        """Each object by the rule."""
        if not sides.both(_LISTS):
            return UNDECIDED.unite(sides)
        ours, theirs = self._by_key(sides.ours), self._by_key(sides.theirs)
        if ours is None or theirs is None:
            return UNDECIDED.unite(sides)
        base = self._by_key(_items(sides.base)) or {}
        if list(ours) == list(theirs):
            order = list(ours)
        else:
            added = (ours.keys() | theirs.keys()) - base.keys()
            order = [key for key in base if key in ours or key in theirs] + sorted(added)
        merged = []
        for key in order:
            item = replace(
                sides,
                path=f"{sides.path}[{key}]",
                base=base.get(key, ABSENT),
                ours=ours.get(key, ABSENT),
                theirs=theirs.get(key, ABSENT),
            )
            value = self.item.decide(item)
            if value is not ABSENT:
                merged.append(value)
        return merged

    def _by_key(self, values: Sequence[Any]) -> dict[str, Any] | None:
        """The objects by the text of their key; ``None`` where they have no proper keys."""
        found: dict[str, Any] = {}
        for value in values:
            key = value.get(self.key) if isinstance(value, Mapping) else None
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                return None
            found[canonical(key)] = value
        return found if len(found) == len(values) else None


def _items(value: Any) -> Sequence[Any]:
    """The entries of the list; of anything else, none."""
    return value if isinstance(value, _LISTS) else ()
