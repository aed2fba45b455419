"""A model that does not carry over to footage left out is never chosen."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.cli.calibrate.choosing import (
    COLD,
    MAY_LOSE,
    MOST_FOLDS,
    bases,
    choose,
    log_loss,
)
from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate.fitting import PRESENT
from secondlook.edge.gate.lessons import Lessons
from secondlook.edge.gate.logistic import Basis, Logistic, probability
from secondlook.edge.gate.risk import RiskModel, cold_start


def lessons(seed: int, shift: float = 0.0, size: float = 0.0, rows: int = 150) -> Lessons:
    """A camera on which objects are as likely as the cold start says, but for two changes.

    Args:
        seed: of the camera.
        shift: added to the log odds everywhere.
        size: added to them for each unit of the box's size, which the cold start does not read.
        rows: how many.
    """
    draw = np.random.default_rng(seed)
    values = draw.normal(0.0, 1.0, (rows, len(SIGHT)))
    values[:, SIGHT.index("hidden")] = draw.uniform(0, 0.5, rows)
    odds = cold_start().present.odds(values, SIGHT) + shift
    odds += size * values[:, SIGHT.index("size")]
    present = (draw.random(rows) < probability(odds)).astype(float)
    same = probability(cold_start().same_class.odds(values, SIGHT))
    both = np.concatenate([values, draw.normal(0.0, 1.0, (rows, len(CHANGE)))], axis=1)
    stands = probability(cold_start().confirmed.odds(both, SIGHT + CHANGE))
    returned = probability(cold_start().refuted.odds(both, SIGHT + CHANGE))
    return Lessons(
        list(values),
        present.tolist(),
        [float(a and b) for a, b in zip(present, draw.random(rows) < same, strict=True)],
        list(both),
        (draw.random(rows) < stands).astype(float).tolist(),
        list(both),
        (draw.random(rows) < returned).astype(float).tolist(),
    )


def test_what_holds_on_every_camera_is_learned() -> None:
    model, choices = choose([lessons(seed, size=2.0) for seed in range(3)])
    chosen = choices["present"]
    assert chosen.basis in ("middle", "rich")
    assert chosen.loss < chosen.cold_loss - 0.03
    assert chosen.worst_gain > 0
    fresh = lessons(99, size=2.0)
    rows = fresh.sights, fresh.present
    assert log_loss(model.present, SIGHT, rows) < log_loss(cold_start().present, SIGHT, rows) - 0.03


def test_what_holds_on_some_cameras_only_is_not() -> None:
    clips = [lessons(1, size=2.0), lessons(2, size=2.0), lessons(3, size=-2.0)]
    model, choices = choose(clips)
    # What they have in common may be learned: that the cold start is too sure of itself.
    assert choices["present"].basis in (COLD, "small")
    assert "size" not in model.present.basis.columns


def test_where_the_cold_start_is_right_it_stays() -> None:
    model, choices = choose([lessons(seed) for seed in range(3)])
    fresh = lessons(99)
    for name, rows in (("present", (fresh.sights, fresh.present)),):
        assert choices[name].worst_gain >= -MAY_LOSE
        loss, cold = (log_loss(getattr(m, name), SIGHT, rows) for m in (model, cold_start()))
        assert loss < cold + 0.01


@pytest.mark.parametrize("clips", [1, 2])
def test_one_clip_or_two_teach_nothing_about_others(clips: int) -> None:
    model, choices = choose([lessons(seed, shift=2.0) for seed in range(clips)])
    assert model == cold_start()
    assert {choice.basis for choice in choices.values()} == {COLD}
    assert choices["present"].rows == 150 * clips


def test_nothing_at_all_teaches_nothing() -> None:
    assert choose([])[0] == choose([Lessons(), Lessons()])[0] == cold_start()
    certain = lessons(0)
    certain.present = [1.0] * len(certain.present)
    assert choose([certain, certain])[0].present == cold_start().present


@pytest.mark.parametrize("clips", [3, MOST_FOLDS + 1])
def test_any_number_of_clips_will_do(clips: int) -> None:
    groups = [lessons(seed, shift=1.5, rows=60) for seed in range(clips)]
    _, choices = choose(groups)
    assert choices["present"].rows == 60 * clips
    assert choices["present"].basis != COLD


def test_every_candidate_can_say_what_the_cold_start_says() -> None:
    cold = Basis(("score", "speed"), (("speed", 0.3),))
    for basis in bases(PRESENT, ("best",), cold).values():
        assert set(cold.columns) <= set(basis.columns)
        assert set(cold.hinges) <= set(basis.hinges)


def test_log_loss_is_that_of_the_probabilities() -> None:
    model = Logistic(Basis(("score",)), (0.3, 1.0))
    values = np.array([[0.5], [-1.0]])
    p = probability(model.odds(values, ("score",)))
    expected = -(np.log(p[0]) + np.log(1 - p[1])) / 2
    assert log_loss(model, ("score",), (list(values), [1.0, 0.0])) == pytest.approx(expected)


def test_the_model_is_a_risk_model() -> None:
    model, _ = choose([lessons(seed, rows=60) for seed in range(3)])
    assert isinstance(model, RiskModel)
