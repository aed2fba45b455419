"""From the lessons of clips to a whole risk model."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate import cold_start
from secondlook.edge.gate.fitting import (
    CONFIRMED,
    LEAST_ROWS,
    PRESENT,
    REFUTED,
    SAME_CLASS,
    fit_risk,
)
from secondlook.edge.gate.lessons import Lessons
from secondlook.edge.gate.logistic import Floats, probability
from secondlook.edge.gate.risk import VERIFIED

AGE = CHANGE.index("age")


def _rows(dice: np.random.Generator, count: int) -> Floats:
    """Sights as a camera might give them, around 0."""
    rows = dice.normal(size=(count, len(SIGHT)))
    rows[:, SIGHT.index("class_share")] = dice.uniform(0.4, 1.0, count)
    return rows


def _odds(rows: Floats) -> Floats:
    """The rule that is to be found."""
    odds: Floats = -1.0 + 2.0 * rows[:, SIGHT.index("smoothed")] - rows[:, SIGHT.index("size")]
    return odds


def _clip(seed: int, count: int = 3000, shift: float = 0.0) -> Lessons:
    dice = np.random.default_rng(seed)
    rows = _rows(dice, count)
    present = dice.random(count) < probability(_odds(rows) + shift)
    same = dice.random(count) < rows[:, SIGHT.index("class_share")]
    changes = np.abs(dice.normal(size=(count, len(CHANGE))))
    both = np.concatenate([rows, changes], axis=1)
    stands = dice.random(count) < probability(3.0 - 3.0 * changes[:, AGE])
    returned = dice.random(count) < probability(-3.0 + 3.0 * changes[:, AGE])
    return Lessons(
        list(rows), present.astype(float).tolist(), (present & same).astype(float).tolist(),
        list(both), stands.astype(float).tolist(), list(both), returned.astype(float).tolist(),
    )  # fmt: skip


def _sights(seed: int, count: int, shift: float = 0.0) -> Lessons:
    """A clip without verdicts."""
    clip = _clip(seed, count, shift)
    return Lessons(clip.sights, clip.present, clip.same_class)


def _slope(found: Floats, expected: Floats) -> float:
    """By how much the log odds found rise with those expected."""
    assert np.corrcoef(found, expected)[0, 1] > 0.93
    return float(np.polyfit(expected, found, 1)[0])


def test_a_rule_is_found_again_in_all_branches() -> None:
    """Up to a constant, which each camera is taken to have of its own."""
    model = fit_risk([_clip(1, 1200), _clip(2, 1200)])
    dice = np.random.default_rng(9)
    rows = _rows(dice, 2000)
    changes = np.abs(dice.normal(size=(2000, len(CHANGE))))
    both = np.concatenate([rows, changes], axis=1)
    share = rows[:, SIGHT.index("class_share")]
    for found, expected in (
        (model.present.odds(rows, SIGHT), _odds(rows)),
        (model.same_class.odds(rows, SIGHT), np.log(share / (1.001 - share))),
        (model.confirmed.odds(both, VERIFIED), -3.0 * changes[:, AGE]),
        (model.refuted.odds(both, VERIFIED), 3.0 * changes[:, AGE]),
    ):
        assert 0.4 < _slope(found, expected) < 1.4


def test_what_many_clips_agree_on_is_part_of_the_rule() -> None:
    """Not only the slopes: the more clips, the less of the constant is put down to each."""
    rows = _rows(np.random.default_rng(9), 1000)
    few, many = ([_sights(seed, 200) for seed in range(count)] for count in (1, 12))

    def off(clips: list[Lessons]) -> float:
        return abs(float(np.mean(fit_risk(clips).present.odds(rows, SIGHT) - _odds(rows))))

    assert off(many) < 0.7 * off(few)


def test_equal_lessons_give_equal_models() -> None:
    assert fit_risk([_clip(1, 500)]) == fit_risk([_clip(1, 500)])


def test_no_and_few_lessons_leave_the_cold_start() -> None:
    assert fit_risk([]) == fit_risk([Lessons()]) == cold_start()
    assert fit_risk([_clip(1, LEAST_ROWS - 1)]) == cold_start()
    assert fit_risk([_clip(1, 10 * LEAST_ROWS)]) != cold_start()


@pytest.mark.parametrize("said", [0.0, 1.0])
def test_rows_that_all_say_the_same_teach_nothing(said: float) -> None:
    clip = _clip(1, 400)
    clip.present = clip.same_class = clip.stands = clip.returned = [said] * 400
    assert fit_risk([clip]) == cold_start()


def test_branches_are_taught_apart() -> None:
    clip = _clip(1, 400)
    clip.confirmed, clip.stands = [], []
    model, cold = fit_risk([clip]), cold_start()
    assert model.confirmed == cold.confirmed
    assert model.present != cold.present
    assert model.refuted != cold.refuted


def test_the_offset_of_a_clip_is_no_part_of_the_rule() -> None:
    """A camera on which the light model is too bold says nothing about the next one."""
    rows = _rows(np.random.default_rng(9), 1000)
    plain = fit_risk([_sights(1, 1000), _sights(2, 1000)]).present.odds(rows, SIGHT)
    shifted = fit_risk([_sights(1, 1000, 2.0), _sights(2, 1000, -2.0)]).present.odds(rows, SIGHT)
    assert _slope(shifted, plain) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(shifted - plain)) < 0.5, "of a shift by 2 to either side"


def test_the_more_penalty_the_nearer_to_the_cold_start() -> None:
    clips, cold = [_sights(1, 600)], cold_start()
    rows = _rows(np.random.default_rng(9), 500)
    expected = cold.present.odds(rows, SIGHT)

    def distance(penalty: float) -> float:
        return float(np.abs(fit_risk(clips, penalty).present.odds(rows, SIGHT) - expected).mean())

    assert distance(1e7) < 0.05
    assert distance(1e7) < distance(100.0) < distance(0.1)


def test_columns_that_never_change_and_rows_that_separate_are_no_trouble() -> None:
    clip = Lessons()
    dice = np.random.default_rng(5)
    for _ in range(200):
        row = np.zeros(len(SIGHT))
        row[SIGHT.index("score")] = score = dice.normal()
        clip.sights.append(row)
        clip.present.append(float(score > 0))
        clip.same_class.append(float(score > 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit_risk([clip])
    rows = np.zeros((2, len(SIGHT)))
    rows[:, SIGHT.index("score")] = [-2.0, 2.0]
    low, high = model.present.odds(rows, SIGHT)
    assert low < high


def test_each_basis_holds_the_columns_of_the_cold_start() -> None:
    cold = cold_start()
    for basis, branch in (
        (PRESENT, cold.present),
        (SAME_CLASS, cold.same_class),
        (CONFIRMED, cold.confirmed),
        (REFUTED, cold.refuted),
    ):
        assert set(branch.basis.columns) <= set(basis.columns)
