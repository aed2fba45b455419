"""What becomes of a record that stands on two sides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.replica import RULE

from secondlook.shared.errors import MergeConflict
from secondlook.shared.memory.replication.reconcile import Decision, reconcile, same
from secondlook.shared.memory.replication.values import State


def state(expires_at: float | None = None, **data: Any) -> State:
    return State(data, expires_at)


def decide(base: State | None, ours: State | None, theirs: State | None) -> Decision:
    return reconcile(base, ours, theirs, RULE, dirty=True)


def test_what_is_clean_is_taken_over_whatever_it_is() -> None:
    for theirs in (state(n=2), state(5.0, n=1), None):
        taken = reconcile(None, state(n=1), theirs, RULE, dirty=False)
        assert taken == Decision(theirs, write=True, clean=True)


def test_taking_over_what_stands_already_writes_nothing() -> None:
    assert not reconcile(None, state(n=1), state(n=1), RULE, dirty=False).write
    assert not reconcile(None, None, None, RULE, dirty=False).write
    # Python finds these equal; as JSON they are three documents.
    assert reconcile(None, state(n=1), state(n=True), RULE, dirty=False).write
    assert reconcile(None, state(n=1), state(n=1.0), RULE, dirty=False).write


def test_a_change_stands_against_a_deletion() -> None:
    assert decide(state(n=1), state(n=2), None) == Decision(state(n=2), write=False, clean=False)
    assert decide(state(n=1), None, state(n=2)) == Decision(state(n=2), write=True, clean=True)


def test_deleted_on_both_sides_it_is_gone() -> None:
    assert decide(state(n=1), None, None) == Decision(None, write=False, clean=True)


def test_counters_add_from_the_ancestor() -> None:
    united = decide(state(n=10), state(n=13), state(n=12))
    assert united == Decision(state(n=15), write=True, clean=False)


def test_without_an_ancestor_everything_is_new() -> None:
    assert decide(None, state(n=3), state(n=2)).state == state(n=5)


def test_the_same_change_on_both_sides_needs_no_sending() -> None:
    both = state(other="x")
    assert decide(state(other="y"), both, state(other="x")) == Decision(
        both, write=False, clean=True
    )


def test_who_wants_it_longest_decides_how_long_it_lives() -> None:
    for ours, theirs, ends in (
        (5.0, 9.0, 9.0),
        (9.0, 5.0, 9.0),
        (None, 5.0, None),
        (5.0, None, None),
    ):
        decision = decide(state(n=1), state(ours, n=2), state(theirs, n=1))
        assert decision.state == state(ends, n=2)


def test_what_no_rule_decides_raises_with_both_sides() -> None:
    with pytest.raises(MergeConflict) as error:
        decide(state(other=0), state(other=1), state(other=2))
    assert (error.value.base, error.value.ours, error.value.theirs) == (0, 1, 2)


DOCUMENTS = st.none() | st.builds(
    state,
    st.none() | st.floats(1, 9),
    n=st.integers(-5, 5),
    s=st.lists(st.sampled_from("abc"), unique=True).map(sorted),
)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_both_sides_decide_the_same(
    base: State | None, one: State | None, other: State | None
) -> None:
    here, there = decide(base, one, other), decide(base, other, one)
    assert same(here.state, there.state)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_what_was_united_and_sent_is_not_news(
    base: State | None, one: State | None, other: State | None
) -> None:
    united = decide(base, one, other).state
    again = reconcile(None, united, united, RULE, dirty=False)
    assert not again.write
    assert again.clean
