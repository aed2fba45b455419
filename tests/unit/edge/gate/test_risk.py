"""What is lost by an answer, and the rule of a camera for which nothing was trained."""

from __future__ import annotations

import numpy as np
import pytest
from support.gate import plain_risk

from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate import Risk, cold_start
from secondlook.edge.gate.logistic import Floats, probability

SURE = {"class_share": 1.0, "margin": 0.9, "hits": 2.0}


def _sights(**columns: float | list[float]) -> Floats:
    """Rows in which all columns not named are 0."""
    count = max([1, *(len(v) for v in columns.values() if isinstance(v, list))])
    rows = np.zeros((count, len(SIGHT)))
    for name, value in columns.items():
        rows[:, SIGHT.index(name)] = value
    return rows


def _changes(count: int = 1, **columns: float | list[float]) -> Floats:
    rows = np.zeros((count, len(CHANGE)))
    for name, value in columns.items():
        rows[:, CHANGE.index(name)] = value
    return rows


@pytest.mark.parametrize(
    ("present", "same", "right", "loss"),
    [
        # loss if published (1 - p) + 2 p (1 - c), if silent p; the smaller one is the risk.
        (0.9, 1.0, 0.9, 0.1),
        (0.3, 1.0, 0.3, 0.3),
        (0.9, 0.5, 0.45, 0.9),
        (0.8, 0.9, 0.72, 0.36),
        (0.0, 1.0, 0.0, 0.0),
        (1.0, 1.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 1.0),
    ],
)
def test_the_risk_is_what_the_better_answer_loses(
    present: float, same: float, right: float, loss: float
) -> None:
    risk = Risk.of(np.array([present]), np.array([same]))
    assert risk.right[0] == pytest.approx(right)
    assert risk.loss[0] == pytest.approx(loss)


def test_where_the_class_is_right_the_risk_is_the_smaller_chance() -> None:
    chances = np.linspace(0, 1, 101)
    risk = Risk.of(chances, np.ones(101))
    np.testing.assert_allclose(risk.loss, np.minimum(chances, 1 - chances))


def test_verified_boxes_take_the_branch_of_their_verdict() -> None:
    model = plain_risk()
    sights = _sights(score=[0.0] * 4)
    changes = _changes(4, verdict=[2.0, 2.0, 0.0, 0.0], age=[0.0, 1.0, 0.0, 1.0])
    refuted = np.array([False, False, True, True])
    risk = model.verified(sights, changes, refuted)
    expected = probability(np.array([3.0, 1.0, -4.0, -2.0]))
    np.testing.assert_allclose(risk.right, expected)
    np.testing.assert_allclose(risk.loss, np.minimum(expected, 1 - expected))


def test_nothing_is_no_risk() -> None:
    for model in (plain_risk(), cold_start()):
        assert len(model.unverified(_sights()[:0]).right) == 0
        none = model.verified(_sights()[:0], _changes(0), np.zeros(0, bool))
        assert len(none.loss) == 0


class TestColdStart:
    """The promises of the rule, whatever its numbers are."""

    model = cold_start()

    def test_a_box_is_as_likely_as_its_score(self) -> None:
        odds = [-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0]
        right = self.model.unverified(_sights(score=odds, smoothed=odds, **SURE)).right
        assert (np.diff(right) > 0).all()
        assert right[0] < 0.05
        assert right[-1] > 0.9

    def test_the_middle_is_unsure_and_the_ends_are_not(self) -> None:
        odds = [-6.0, -1.0, 6.0]
        loss = self.model.unverified(_sights(score=odds, smoothed=odds, **SURE)).loss
        assert loss[1] > loss[0]
        assert loss[1] > loss[2]

    def test_what_a_stronger_box_hides_is_less_likely(self) -> None:
        right = self.model.unverified(_sights(hidden=[0.0, 0.9], smoothed=0.5, **SURE)).right
        assert right[1] < right[0]

    def test_a_class_that_wavers_is_less_certain(self) -> None:
        clear = _sights(smoothed=3.0, score=3.0, class_share=1.0, margin=0.8)
        wavering = _sights(smoothed=3.0, score=3.0, class_share=0.5, margin=0.05)
        clear_risk, other = self.model.unverified(clear), self.model.unverified(wavering)
        assert other.right[0] < clear_risk.right[0]
        assert other.loss[0] > clear_risk.loss[0]

    def test_a_fresh_verdict_settles_the_matter_and_fades(self) -> None:
        ages = np.log1p([0.0, 1.0, 5.0, 30.0]).tolist()
        sights = _sights(score=[-0.5] * 4, smoothed=-0.5)
        seen = self.model.verified(sights, _changes(4, verdict=2.0, age=ages), np.zeros(4, bool))
        assert seen.right[0] > 0.6
        assert (np.diff(seen.right) < 0).all()
        refuted = self.model.verified(sights, _changes(4, age=ages), np.ones(4, bool))
        assert refuted.right[0] < 0.4
        assert (np.diff(refuted.right) > 0).all()
        assert (np.diff(refuted.loss[:3]) > 0).all()

    def test_a_score_that_fell_or_a_size_that_changed_casts_doubt_on_what_was_seen(self) -> None:
        sights = _sights(score=[0.0] * 3)
        right = self.model.verified(
            sights,
            _changes(3, verdict=2.0, smoothed_risen=[0.0, -3.0, 0.0], grown=[0.0, 0.0, 1.5]),
            np.zeros(3, bool),
        ).right
        assert right[1] < right[0]
        assert right[2] < right[0]

    def test_a_score_that_rose_brings_a_refuted_box_back_into_question(self) -> None:
        right = self.model.verified(
            _sights(score=[0.0] * 2), _changes(2, smoothed_risen=[0.0, 3.0]), np.ones(2, bool)
        ).right
        assert right[1] > right[0]
