from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from secondlook.shared.errors import InvalidInput, MergeConflict
from secondlook.shared.memory import merge
from secondlook.shared.memory.merging import (
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
    UnionSet,
)
from secondlook.shared.memory.record import MAX_DEPTH


def of_x(rule: Rule) -> Fields:
    return Fields({"x": rule})


def both(rule: Rule, base: Any, ours: Any, theirs: Any) -> Any:
    """The merged value of a field, the same whichever side is ours; ``...`` stands for absent."""
    sides = [{} if value is ... else {"x": value} for value in (base, ours, theirs)]
    merged = merge(*sides, of_x(rule))
    assert merge(sides[0], sides[2], sides[1], of_x(rule)) == merged
    return merged.get("x", ...)


def conflict(base: Any, ours: Any, theirs: Any, rule: Rule) -> MergeConflict:
    with pytest.raises(MergeConflict) as raised:
        merge(base, ours, theirs, rule)
    return raised.value


# By default: field by field


def test_changes_of_different_fields_are_united() -> None:
    base = {"a": 1, "b": {"c": 1, "d": 1}, "e": 1}
    ours = {"a": 2, "b": {"c": 1, "d": 2}, "e": 1}
    theirs = {"a": 1, "b": {"c": 2, "d": 1}, "e": 1, "f": [1]}
    assert merge(base, ours, theirs) == {"a": 2, "b": {"c": 2, "d": 2}, "e": 1, "f": [1]}


def test_the_same_change_on_both_sides_stands() -> None:
    assert merge({"a": 1}, {"a": [2]}, {"a": [2], "b": 1}) == {"a": [2], "b": 1}


def test_different_changes_are_a_conflict_that_carries_both() -> None:
    error = conflict(
        {"a": {"b": 1}, "z": 0}, {"a": {"b": 2}, "z": 1}, {"a": {"b": 3}, "z": 0}, Fields()
    )
    assert (error.path, error.base, error.ours, error.theirs) == ("a.b", 1, 2, 3)
    assert error.record_id == ""


def test_a_conflict_names_the_record() -> None:
    with pytest.raises(MergeConflict, match="s/c/k/1: a was changed") as raised:
        merge({}, {"a": 1}, {"a": 2}, record_id="s/c/k/1")
    assert raised.value.record_id == "s/c/k/1"
    assert raised.value.base is None


def test_what_one_side_removed_of_the_unchanged_is_out() -> None:
    assert merge({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}) == {"b": 2}


def test_a_change_stands_against_a_removal() -> None:
    assert merge({"a": 1, "b": 1}, {"b": 2}, {"a": 5, "b": 1}) == {"a": 5, "b": 2}


@pytest.mark.parametrize(("ours", "theirs"), [(1, True), (1, 1.0), (0, False), ("1", 1), (None, 0)])
def test_what_only_looks_alike_is_not_the_same(ours: Any, theirs: Any) -> None:
    assert conflict({}, {"a": ours}, {"a": theirs}, Fields()).path == "a"


def test_a_side_that_changed_nothing_gives_the_other_to_the_last_bit() -> None:
    theirs = {"x": 0.1 + 0.2, "y": -0.0, "n": 2**62 + 1, "gone": None}
    merged = merge({"x": 0.3, "z": 1}, {"x": 0.3, "z": 1}, theirs)
    assert merged == theirs
    assert str(merged["y"]) == "-0.0"


def test_arguments_are_neither_changed_nor_shared() -> None:
    base, ours = {"a": {"l": [1]}}, {"a": {"l": [1, 2]}}
    merged = merge(base, ours, base)
    merged["a"]["l"].append(3)
    assert (base, ours) == ({"a": {"l": [1]}}, {"a": {"l": [1, 2]}})
    mixed = merge(base, ours, {"a": {"l": [1]}, "b": {}})
    mixed["a"]["l"].append(3)
    assert ours == {"a": {"l": [1, 2]}}


# Counters


def test_counters_add_what_both_sides_counted() -> None:
    assert both(Counter(), 5, 7, 6) == 8
    assert both(Counter(), 5, 6, 6) == 7
    assert both(Counter(), ..., 2, 3) == 5
    assert both(Counter(), 5, 2, 6) == 3
    assert both(Counter(), 2**62, 2**62 + 1, 2**62 + 1) == 2**62 + 2


def test_a_counter_that_one_side_removed_stands_if_the_other_counted() -> None:
    assert both(Counter(), 5, ..., 7) == 7
    assert both(Counter(), 5, ..., 5) is ...
    assert both(Counter(), 5, ..., ...) is ...


@pytest.mark.parametrize("wrong", [True, 1.5, "1", None, [1]])
def test_what_is_no_whole_number_is_not_added(wrong: Any) -> None:
    assert conflict({"x": 0}, {"x": 1}, {"x": wrong}, of_x(Counter())).path == "x"
    assert both(Counter(), wrong, 1, 2) == 3


def test_grids_add_place_by_place() -> None:
    assert both(Grid(), [1, 2, 3], [1, 3, 3], [2, 3, 3]) == [2, 4, 3]
    assert both(Grid(), ..., [1, 0], [1, 1]) == [2, 1]


@pytest.mark.parametrize("theirs", [[1], [1, 2, 3], [1, True], "ab", {}])
def test_grids_of_another_shape_are_a_conflict(theirs: Any) -> None:
    assert conflict({"x": [0, 0]}, {"x": [1, 0]}, {"x": theirs}, of_x(Grid())).path == "x"


def test_a_grid_of_another_shape_than_the_ancestor_is_a_conflict() -> None:
    assert conflict({"x": [0]}, {"x": [1, 0]}, {"x": [1, 1]}, of_x(Grid())).base == [0]


def test_where_the_frame_of_the_fields_differs_nothing_is_united() -> None:
    rule = Fields({"cells": Grid()}, alike=("rows", "columns"))

    def scene(rows: int, columns: int, cells: list[int]) -> dict[str, Any]:
        return {"rows": rows, "columns": columns, "cells": cells}

    base, turned = scene(1, 2, [0, 0]), scene(2, 1, [5, 5])
    error = conflict(base, turned, scene(1, 2, [0, 1]), rule)
    assert (error.path, error.ours, error.theirs) == ("rows", 2, 1)
    # Both turned it: what was counted before is no ancestor of what is counted now.
    assert conflict(base, turned, scene(2, 1, [5, 6]), rule).path == "rows"
    # Only one side changed anything at all: that is no conflict.
    assert merge(base, turned, base, rule) == turned


# Registers


def test_the_latest_register_stands_as_a_whole() -> None:
    old, new = {"at_s": 5, "a": 1, "b": 1}, {"at_s": 6.5, "a": 2}
    assert both(Latest(), {"at_s": 1}, old, new) == new
    assert both(Latest(), ..., old, new) == new
    assert both(Latest(), ..., {"a": 1}, old) == old


def test_equal_stamps_are_decided_the_same_on_both_sides() -> None:
    assert both(Latest(), ..., {"at_s": 1, "a": 1}, {"at_s": 1, "a": 2}) in (
        {"at_s": 1, "a": 1},
        {"at_s": 1, "a": 2},
    )


@pytest.mark.parametrize("stamp", [None, True, "9", [9]])
def test_a_stamp_that_is_no_number_is_the_oldest(stamp: Any) -> None:
    assert both(Latest(), ..., {"at_s": stamp}, {"at_s": -5}) == {"at_s": -5}


def test_fields_apart_from_the_register_have_their_own_rules() -> None:
    rule = Latest("t", apart={"seen": Counter()})
    base = {"t": 1, "seen": 3, "a": 0}
    assert both(rule, base, {"t": 2, "seen": 4, "a": 1}, {"t": 3, "seen": 5, "a": 2}) == {
        "t": 3,
        "seen": 6,
        "a": 2,
    }
    # Of a register that one side did not touch, the other's stands, even if its stamp is older.
    assert both(rule, base, {**base, "seen": 4}, {"t": 0, "seen": 4, "a": 9}) == {
        "t": 0,
        "seen": 5,
        "a": 9,
    }


def test_the_largest_and_the_smallest() -> None:
    assert both(Largest(), 1, 5, 7.5) == 7.5
    assert both(Largest(), 9, 5, 7) == 7
    assert both(Largest(), 9, None, 7) == 7
    assert both(Largest(), 9, ..., 7) == 7
    assert both(Smallest(), 1, 5, 7.5) == 5
    assert both(Smallest(), 1, None, 7) == 7
    assert type(both(Largest(), 0, 1, 1.0)) is type(both(Largest(), 0, 1.0, 1))


@pytest.mark.parametrize("wrong", ["9", True, [9]])
def test_of_what_is_no_number_none_is_the_largest(wrong: Any) -> None:
    assert conflict({}, {"x": 1}, {"x": wrong}, of_x(Largest())).theirs == wrong


# Lists


def test_sets_unite_additions_and_removals() -> None:
    assert both(UnionSet(), ["b", "a"], ["b", "a", "d"], ["b", "c"]) == ["b", "c", "d"]
    assert both(UnionSet(), ..., [2, 1], [1, 3]) == [1, 2, 3]
    assert both(UnionSet(), [1], [1, {"k": 1}], [1, {"k": 1}, True]) == [1, True, {"k": 1}]
    assert both(UnionSet(), [1, 2], [1], [2]) == []


def test_a_log_keeps_both_sides_entries_in_the_order_of_their_stamps() -> None:
    def at(*stamps: float) -> list[dict[str, float]]:
        return [{"at_s": stamp} for stamp in stamps]

    assert both(Appended(9), at(3, 1), at(3, 1, 7), at(3, 1, 5, 9)) == at(3, 1, 5, 7, 9)
    assert both(Appended(9), ..., at(2), at(1, 2)) == at(1, 2)
    assert both(Appended(3), at(1, 2, 3), at(2, 3, 4), at(2, 3, 5)) == at(3, 4, 5)
    assert both(Appended(9), at(1, 1, 2), at(1, 2, 4), at(1, 1, 2, 3)) == at(1, 2, 3, 4)
    assert both(Appended(9), [], ["b", 1], ["a"]) == ["a", "b", 1]


def test_lists_with_keys_are_merged_object_by_object() -> None:
    rule = KeyedList("id", Fields({"n": Counter()}))
    base = [{"id": "b", "n": 1}, {"id": "a", "n": 1}, {"id": "x"}]
    ours = [{"id": "b", "n": 2}, {"id": "a", "n": 1}, {"id": 7}]
    theirs = [{"id": "z"}, {"id": "b", "n": 3}, {"id": "a", "n": 1, "t": 1}, {"id": "x"}]
    assert both(rule, base, ours, theirs) == [
        {"id": "b", "n": 4},
        {"id": "a", "n": 1, "t": 1},
        {"id": "z"},
        {"id": 7},
    ]


def test_lists_with_keys_keep_an_order_that_both_sides_agree_on() -> None:
    rule = KeyedList("id")
    moved = [{"id": 2}, {"id": 1, "a": 1}]
    assert both(rule, [{"id": 1}, {"id": 2}], moved, [{"id": 2, "b": 1}, {"id": 1}]) == [
        {"id": 2, "b": 1},
        {"id": 1, "a": 1},
    ]


def test_a_conflict_inside_a_list_names_the_object() -> None:
    error = conflict(
        {"x": [{"id": "k", "v": 0}]},
        {"x": [{"id": "k", "v": 1}]},
        {"x": [{"id": "k", "v": 2}]},
        of_x(KeyedList("id")),
    )
    assert error.path == 'x["k"].v'


@pytest.mark.parametrize("theirs", [[{"id": 1}, {"id": 1}], [{}], [3], [{"id": True}], 5])
def test_lists_without_proper_keys_are_undecided(theirs: Any) -> None:
    assert conflict({}, {"x": [{"id": 1}]}, {"x": theirs}, of_x(KeyedList("id"))).path == "x"


@pytest.mark.parametrize("rule", [UnionSet(), Appended(3)])
def test_what_is_no_list_is_undecided(rule: Rule) -> None:
    assert conflict({}, {"x": [1]}, {"x": 1}, of_x(rule)).path == "x"
    assert both(rule, "no list", [1], [2]) == [1, 2]


@pytest.mark.parametrize("rule", [Each(Counter()), Latest(), Fields()])
def test_what_is_no_object_is_undecided(rule: Rule) -> None:
    assert conflict({}, {"x": {}}, {"x": [1]}, of_x(rule)).path == "x"
    assert both(rule, "no object", {"at_s": 1}, {"at_s": 1}) in ({"at_s": 1}, {"at_s": 2})


def test_each_key_has_the_same_rule() -> None:
    assert both(Each(Counter()), {"a": 1, "b": 1}, {"a": 2, "b": 1, "c": 1}, {"a": 2}) == {
        "a": 3,
        "c": 1,
    }


# Limits


def test_both_sides_together_may_outgrow_a_record() -> None:
    ours, theirs = {"a": "x" * 40_000}, {"b": "x" * 40_000}
    error = conflict({}, ours, theirs, Fields())
    assert error.path == "data"
    assert (error.ours, error.theirs) == (ours, theirs)


def test_what_no_store_accepts_is_refused_on_every_side() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"x": deep}
    for bad in (deep, {"x": float("nan")}, {"x": "y" * 70_000}, {1: 2}, {"x": object()}, None, []):
        for sides in ([bad, {}, {}], [{}, bad, {}], [{}, {}, bad]):
            with pytest.raises(InvalidInput):
                merge(*sides)


def test_documents_as_deep_as_allowed_are_merged_to_the_bottom() -> None:
    def deep(leaf: dict[str, int]) -> dict[str, Any]:
        document: dict[str, Any] = leaf
        for _ in range(MAX_DEPTH - 1):
            document = {"x": document}
        return document

    assert merge(deep({}), deep({"a": 1}), deep({"b": 1})) == deep({"a": 1, "b": 1})


def test_any_mapping_is_merged_as_the_object_it_is() -> None:
    def proxies(x: int, y: int) -> MappingProxyType[str, Any]:
        return MappingProxyType({"in": MappingProxyType({"x": x, "y": (y,)})})

    merged = merge(proxies(0, 0), proxies(1, 0), proxies(0, 1))
    assert merged == {"in": {"x": 1, "y": [1]}}
