"""Which box belongs to which track: shortcuts give what the search gives."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.edge.track.association import Likeness, assign


def _searched(
    likeness: np.ndarray, least: float, rows: list[bool], columns: list[bool]
) -> set[tuple[int, int]]:
    of_rows, of_columns = np.flatnonzero(rows), np.flatnonzero(columns)
    left, right = assign(likeness[np.ix_(of_rows, of_columns)], least)
    return set(zip(of_rows[left].tolist(), of_columns[right].tolist(), strict=True))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.6])
def test_among_some_rows_and_columns_the_search_would_find_the_same(density: float) -> None:
    chance = np.random.default_rng(7)
    for _ in range(200):
        shape = tuple(chance.integers(0, 9, 2).tolist())
        likeness = np.where(chance.random(shape) < density, chance.random(shape), 0.0)
        likeness = likeness.astype(np.float32)
        rows = (chance.random(shape[0]) < 0.8).tolist()
        columns = (chance.random(shape[1]) < 0.8).tolist()
        found = Likeness(likeness, 0.2).assign(rows, columns)
        assert len(found) == len(set(found))
        assert set(found) == _searched(likeness, 0.2, rows, columns)


def test_equal_rivals_are_settled_as_the_search_settles_them() -> None:
    for likeness in ([[0.5, 0.5]], [[0.5], [0.5]], [[0.5, 0.5, 0.7]], [[0.3, 0.5, 0.5]]):
        table = np.array(likeness, np.float32)
        rows, columns = [True] * table.shape[0], [True] * table.shape[1]
        assert set(Likeness(table, 0.2).assign(rows, columns)) == _searched(
            table, 0.2, rows, columns
        )


def test_a_chain_of_rivals_is_searched_for_the_largest_total() -> None:
    table = np.array([[0.6, 0.5], [0.55, 0.0]], np.float32)
    assert set(Likeness(table, 0.2).assign([True, True], [True, True])) == {(0, 1), (1, 0)}


def test_what_takes_no_part_is_no_rival() -> None:
    table = np.array([[0.6, 0.9]], np.float32)
    assert Likeness(table, 0.2).assign([True], [True, False]) == [(0, 0)]
    assert Likeness(table, 0.2).assign([False], [True, True]) == []
    assert Likeness(table, 0.7).assign([True], [True, False]) == []
