"""Merges of random documents by random trees of rules, checked against what the rules promise."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from secondlook.shared.errors import MergeConflict
from secondlook.shared.memory.merging import (
    ABSENT,
    DEFAULT,
    Appended,
    Counter,
    Each,
    Fields,
    Grid,
    KeyedList,
    Largest,
    Latest,
    Rule,
    Smallest,
    Undecided,
    UnionSet,
    merge,
)
from secondlook.shared.memory.merging.rule import canonical, same
from secondlook.shared.memory.record import decode, encode

# Few names and few values, so that the sides meet often.
NAMES = st.sampled_from(["a", "b", "c", "at_s"])
ATOMS: SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, 1.0, -0.0, 2, 3.5, 2**70, "", "x", "ü"]
)
NUMBERS = st.one_of(st.integers(-3, 9), st.sampled_from([0.5, 1.0, 1e300, 2**70]))
ANYTHING = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)

Typed = tuple[Rule, SearchStrategy[Any]]
"""A rule, and values of the type it is made for."""

COUNTING: list[Typed] = [
    (Counter(), st.integers(-5, 5)),
    (Grid(), st.lists(st.integers(0, 3), min_size=3, max_size=3)),
]
LEAVES: list[Typed] = [
    (Undecided(), ATOMS),
    (DEFAULT, st.dictionaries(NAMES, ATOMS, max_size=3)),
    (Largest(), st.none() | NUMBERS),
    (Smallest(), st.none() | NUMBERS),
    (UnionSet(), st.lists(ATOMS, max_size=4)),
    (Latest(), st.fixed_dictionaries({"at_s": NUMBERS, "a": ATOMS})),
    (Appended(4), st.lists(st.fixed_dictionaries({"at_s": NUMBERS}) | ATOMS, max_size=4)),
]


@st.composite
def objects(draw: st.DrawFn, fields: dict[str, SearchStrategy[Any]]) -> dict[str, Any]:
    """Objects that have most of their fields: the sides shall meet at the leaves."""
    return {name: draw(values) for name, values in fields.items() if draw(st.integers(0, 9))}


def fields_of(children: dict[str, Typed]) -> Typed:
    rules = {name: rule for name, (rule, _) in children.items()}
    return Fields(rules), objects({name: values for name, (_, values) in children.items()})


def each_of(child: Typed) -> Typed:
    return Each(child[0]), objects({"a": child[1], "b": child[1]})


def keyed_of(child: Typed) -> Typed:
    items = st.builds(
        lambda key, item: {**item, "id": key}, st.integers(0, 3), objects({"a": child[1]})
    )
    values = st.lists(items, min_size=2, max_size=4, unique_by=lambda item: item["id"])
    return KeyedList("id", Fields({"a": child[0]})), values


def latest_of(child: Typed) -> Typed:
    return Latest(apart={"a": child[0]}), objects({"at_s": NUMBERS, "b": ATOMS, "a": child[1]})


@st.composite
def trees(draw: st.DrawFn, leaves: list[Typed], depth: int = 0) -> Typed:
    """Rules with their values; objects at the top, as documents are."""
    shape = draw(st.sampled_from("FEL" if depth == 0 else "FEKL" + "." * 4 * depth))
    if shape == ".":
        return draw(st.sampled_from(leaves))
    below = trees(leaves, depth + 1)
    if shape == "F":
        return fields_of(draw(st.dictionaries(NAMES, below, min_size=1, max_size=3)))
    wrap = {"E": each_of, "K": keyed_of, "L": latest_of}[shape]
    return wrap(draw(below))


Case = tuple[Rule, dict[str, Any], dict[str, Any], dict[str, Any]]
"""A rule, the ancestor, and both sides."""


@st.composite
def cases(draw: st.DrawFn, leaves: list[Typed], hostile: bool = False) -> Case:
    rule, values = draw(trees(leaves))
    if hostile:
        wild = st.dictionaries(NAMES, ANYTHING, max_size=3)
        values = st.one_of(values, wild)
    return rule, draw(values), draw(values), draw(values)


def outcome(rule: Rule, base: Any, ours: Any, theirs: Any) -> Any:
    """The merged document, or the path of the conflict."""
    try:
        return merge(base, ours, theirs, rule)
    except MergeConflict as conflict:
        return ("conflict", conflict.path)


many = settings(max_examples=150)


@many
@given(cases(LEAVES + COUNTING, hostile=True))
def test_the_sides_may_change_places(case: Case) -> None:
    rule, base, ours, theirs = case
    assert same(outcome(rule, base, ours, theirs), outcome(rule, base, theirs, ours))


@many
@given(cases(LEAVES + COUNTING, hostile=True))
def test_a_side_that_changed_nothing_gives_the_other(case: Case) -> None:
    rule, base, ours, _ = case
    assert encode(merge(base, ours, base, rule)) == encode(ours)
    assert encode(merge(base, base, ours, rule)) == encode(ours)


@many
@given(cases(LEAVES + COUNTING, hostile=True))
def test_what_was_merged_is_not_merged_again(case: Case) -> None:
    """The ancestor moves to what the other side has: then the other side brings nothing new."""
    rule, base, ours, theirs = case
    merged = outcome(rule, base, ours, theirs)
    if isinstance(merged, dict):
        assert merge(theirs, merged, theirs, rule) == merged
        assert merge(ours, merged, ours, rule) == merged


@many
@given(cases(LEAVES, hostile=True))
def test_without_counters_the_same_change_twice_is_one(case: Case) -> None:
    rule, base, ours, _ = case
    assert encode(merge(base, ours, ours, rule)) == encode(ours)


@many
@given(cases(LEAVES, hostile=True))
def test_without_counters_a_side_that_comes_twice_changes_nothing(case: Case) -> None:
    rule, base, ours, theirs = case
    merged = outcome(rule, base, ours, theirs)
    if isinstance(merged, dict):
        assert same(merge(base, merged, theirs, rule), merged)


@many
@given(cases(LEAVES + COUNTING, hostile=True))
def test_nothing_but_a_document_or_a_conflict_comes_out(case: Case) -> None:
    rule, base, ours, theirs = case
    before = encode(base), encode(ours), encode(theirs)
    merged = outcome(rule, base, ours, theirs)
    if isinstance(merged, dict):
        assert decode(encode(merged)) == merged
    assert (encode(base), encode(ours), encode(theirs)) == before


@many
@given(cases(LEAVES + COUNTING))
def test_no_field_is_lost(case: Case) -> None:
    rule, base, ours, theirs = case
    merged = outcome(rule, base, ours, theirs)
    if isinstance(merged, dict):
        check(rule, base, ours, theirs, merged)


@many
@given(
    st.dictionaries(NAMES, ANYTHING, max_size=4),
    st.dictionaries(NAMES, ANYTHING, max_size=4),
    st.dictionaries(NAMES, ANYTHING, max_size=4),
)
def test_unknown_kinds_lose_no_field(base: Any, ours: Any, theirs: Any) -> None:
    merged = outcome(DEFAULT, base, ours, theirs)
    if isinstance(merged, dict):
        check(DEFAULT, base, ours, theirs, merged)


def check(rule: Rule, base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    """Each rule's promise, said in other words than the rule's own."""
    if same(theirs, base):
        assert same(merged, ours)
    elif same(ours, base):
        assert same(merged, theirs)
    elif ours is ABSENT or theirs is ABSENT:
        assert same(merged, theirs if ours is ABSENT else ours)
    elif isinstance(rule, (Fields, Each)) and isinstance(merged, Mapping):
        check_object(rule, base, ours, theirs, merged)
    elif isinstance(rule, KeyedList):
        keyed = [
            {} if side is ABSENT else {item["id"]: item for item in side}
            for side in (base, ours, theirs, merged)
        ]
        assert len(keyed[3]) == len(merged)
        check_object(Each(rule.item), *keyed)
    elif isinstance(rule, Counter):
        start = 0 if base is ABSENT else base
        assert merged - start == (ours - start) + (theirs - start)
    elif isinstance(rule, Grid):
        start = [0, 0, 0] if base is ABSENT else base
        for index in range(3):
            check(Counter(), start[index], ours[index], theirs[index], merged[index])
    elif isinstance(rule, UnionSet):
        b, o, t, m = (texts(side) for side in (base, ours, theirs, merged))
        assert set(m) == (set(o) | set(t)) - (set(b) - set(o)) - (set(b) - set(t))
    elif isinstance(rule, Appended):
        b, o, t, m = (texts(side) for side in (base, ours, theirs, merged))
        assert len(merged) <= max(rule.limit, len(ours) * same(ours, theirs))
        if len(merged) < rule.limit:
            assert not ((o - b) | (t - b)) - m
    elif isinstance(rule, Latest):
        check_latest(rule, base, ours, theirs, merged)
    elif isinstance(rule, (Largest, Smallest)):
        assert any(same(merged, side) for side in (ours, theirs))
        better = max if isinstance(rule, Largest) else min
        known = [side for side in (ours, theirs) if side is not None]
        assert merged == (better(known) if known else None)
    else:
        assert same(merged, ours)
        assert same(merged, theirs)


def check_object(rule: Rule, base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    for name in {*merged, *ours, *theirs}:
        if isinstance(rule, Each):
            inner: Rule = rule.rule
        else:
            assert isinstance(rule, Fields)
            inner = rule.rules.get(name, DEFAULT)
        before = base.get(name, ABSENT) if isinstance(base, Mapping) else ABSENT
        sides = (side.get(name, ABSENT) for side in (ours, theirs, merged))
        check(inner, before, *sides)


def check_latest(rule: Latest, base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    for name, inner in rule.apart.items():
        before = base.get(name, ABSENT) if isinstance(base, Mapping) else ABSENT
        check(inner, before, *(side.get(name, ABSENT) for side in (ours, theirs, merged)))
    before, one, other, result = (
        {name: value for name, value in side.items() if name not in rule.apart}
        if isinstance(side, Mapping)
        else ABSENT
        for side in (base, ours, theirs, merged)
    )
    assert same(result, one) or same(result, other)
    if not same(one, before) and not same(other, before):
        stamps = [side.get("at_s", -float("inf")) for side in (one, other)]
        assert result.get("at_s", -float("inf")) == max(stamps)


def texts(values: Any) -> Multiset[str]:
    return Multiset([] if values is ABSENT else map(canonical, values))
