from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.cloud.engine.adapting.controller import (
    CALM,
    MISSED,
    Candidate,
    Choice,
    Controller,
    Seen,
)

SEEN = st.builds(
    Seen,
    p95_s=st.one_of(st.none(), st.floats(0.0001, 2.0)),
    waiting=st.integers(0, 500),
    arrivals_per_s=st.floats(0, 2000),
    instances=st.integers(1, 4),
)
SECONDS = st.dictionaries(st.sampled_from([1, 2, 4, 8]), st.floats(0.0005, 0.5), max_size=4)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    losses = draw(st.lists(st.one_of(st.none(), st.floats(0, 0.1)), max_size=3))
    first = Candidate("2", "fp32", 0.0, 8, draw(SECONDS))
    others = [
        Candidate("2", f"v{n}", loss, 8, draw(SECONDS), draw(st.one_of(st.none(), st.just(2.0))))
        for n, loss in enumerate(losses)
    ]
    return [first, *others]


def moves(choices: list[Choice]) -> int:
    pairs = itertools.pairwise(choices)
    return sum((a.version, a.variant) != (b.version, b.variant) for a, b in pairs)


@given(st.lists(SEEN, min_size=1, max_size=300), candidates(), st.floats(0.005, 1.0))
def test_only_what_was_measured_is_used_and_limits_hold(
    windows: list[Seen], ready: list[Candidate], objective_s: float
) -> None:
    controller = Controller(objective_s)
    allowed = {c.key for n, c in enumerate(ready) if n == 0 or c.loss is not None}
    for seen in windows:
        choice = controller.decide(seen, ready)
        assert (choice.version, choice.variant) in allowed
        assert 1 <= choice.limit <= 8
        assert choice.reason


@given(st.data(), candidates(), st.floats(0.005, 1.0))
def test_it_does_not_flap_whatever_it_sees(
    data: st.DataObject, ready: list[Candidate], objective_s: float
) -> None:
    """Each move up waits at least `CALM` windows, each move down `MISSED`."""
    # A few kinds of windows in a random order, as long as a day's edge of load could make it.
    kinds = data.draw(st.lists(SEEN, min_size=1, max_size=4))
    order = data.draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=40))
    repeats = data.draw(st.integers(1, 80))
    controller = Controller(objective_s)
    choices = [controller.decide(kinds[n], ready) for n in order for _ in range(repeats)]
    ranks = {c.key: n for n, c in enumerate(ready)}
    places = [ranks[c.version, c.variant] for c in choices]
    last_move = -1
    for n, (before, after) in enumerate(itertools.pairwise(places)):
        if before == after:
            continue
        if after < before:
            assert n - last_move >= CALM
        else:
            assert n - last_move >= MISSED - 1
        last_move = n


@pytest.mark.parametrize("bad", [0, 1, 5, 29, 31, 100])
def test_a_load_at_the_edge_makes_it_swing_ever_more_slowly(bad: int) -> None:
    """The worst case: every move up is followed by a miss, and everything looks calm in between."""
    ready = [
        Candidate("1", "fp32", 0.0, 1, {1: 0.01}),
        Candidate("1", "int8", 0.01, 1, {1: 0.004}),
    ]
    controller = Controller(0.05)
    calm, miss = Seen(0.012, 0, 20.0), Seen(0.2, 50, 20.0)
    variant, choices, since = "fp32", [], 0
    for _ in range(3000):
        # Whenever the better one is in use, it is missed after a while.
        seen = miss if variant == "fp32" and since >= bad else calm
        choice = controller.decide(seen, ready)
        since = 0 if choice.variant != variant else since + 1
        variant = choice.variant
        choices.append(choice)
    # Each pair of moves takes twice as long as the one before.
    assert 1 <= moves(choices) <= 2 * (math.log2(3000 / CALM) + 2)
