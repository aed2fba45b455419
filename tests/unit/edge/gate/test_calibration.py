"""Calibration that is learned from audits: it helps where the gate is off, and else keeps still."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.edge.evidence.features import SIGHT
from secondlook.edge.gate.buckets import BRANCHES, SIZES, buckets_of
from secondlook.edge.gate.calibration import NO_CALIBRATION
from secondlook.edge.gate.curves import ISOTONIC
from secondlook.edge.gate.learner import MAX_BUCKETS, Learner, fingerprint, key_of
from secondlook.edge.gate.logistic import probability
from secondlook.edge.gate.risk import Risk, RiskModel, cold_start
from secondlook.shared.memory.kinds import ScoreCalibration, rule_for
from secondlook.shared.memory.merging import merge

CARS = ["new/small/car"]


def feed(
    learner: Learner,
    audits: int,
    *,
    shift: float,
    boxes: int = 4,
    seed: int = 0,
    rate: float = 0.01,
    bucket: str = "new/small/car",
    model: str = "heavy 1",
) -> tuple[float, float]:
    """Audits of a gate whose log odds are off by ``shift``.

    Returns:
        Mean log loss of the gate, and of what the learner made of it before it knew the outcome.
    """
    draw = np.random.default_rng(seed)
    raw, calibrated = [], []
    for audit in range(audits):
        odds = draw.normal(0.0, 2.0, boxes)
        outcomes = draw.random(boxes) < probability(odds + shift)
        right = probability(odds)
        buckets = [bucket] * boxes
        after = learner.calibration.apply(Risk.of(right, np.ones(boxes)), buckets).right
        for said, losses in ((right, raw), (after, calibrated)):
            losses.extend((-np.log(np.where(outcomes, said, 1 - said))).tolist())
        learner.learn(right, buckets, outcomes, audit_rate=rate, model=model, at_s=float(audit))
    return float(np.mean(raw)), float(np.mean(calibrated))


def test_few_outcomes_change_nothing() -> None:
    learner = Learner("g")
    feed(learner, 5, shift=3.0)
    assert learner.outcomes == pytest.approx(20)
    assert learner.calibration is NO_CALIBRATION
    risk = Risk.of(np.array([0.3]), np.ones(1))
    assert learner.calibration.apply(risk, CARS) is risk


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_a_gate_that_is_off_is_put_right(shift: float) -> None:
    learner = Learner("g")
    raw, calibrated = feed(learner, 400, shift=shift)
    assert calibrated < raw - 0.05
    assert learner.outcomes > ISOTONIC
    said = learner.calibration.apply(Risk.of(np.array([0.5]), np.ones(1)), CARS).right[0]
    assert said == pytest.approx(probability(np.array([shift]))[0], abs=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_a_gate_that_is_right_is_left_as_good_as_it_is(seed: int) -> None:
    learner = Learner("g")
    raw, calibrated = feed(learner, 400, shift=0.0, seed=seed)
    assert calibrated < raw + 0.005


def test_what_stops_to_help_is_dropped() -> None:
    learner = Learner("g")
    feed(learner, 150, shift=1.5)
    assert learner.calibration.version
    feed(learner, 300, shift=-1.5, seed=1)
    said = learner.calibration.apply(Risk.of(np.array([0.5]), np.ones(1)), CARS).right[0]
    assert said <= 0.55


def test_classes_and_sizes_are_told_apart() -> None:
    learner = Learner("g")
    for turn in range(40):
        feed(learner, 10, shift=2.0, seed=2 * turn, bucket="new/small/car")
        feed(learner, 10, shift=-2.0, seed=2 * turn + 1, bucket="new/large/person")
    half = Risk.of(np.full(2, 0.5), np.ones(2))
    small, large = learner.calibration.apply(half, ["new/small/car", "new/large/person"]).right
    assert small > 0.75
    assert large < 0.25


def test_another_branch_and_what_is_certain_are_left_alone() -> None:
    learner = Learner("g")
    feed(learner, 300, shift=2.0)
    risk = Risk(np.array([0.4, 0.4, 0.0, 1.0]), np.array([0.4, 0.4, 0.0, 0.0]))
    buckets = ["new/small/car", "confirmed/small/car", "new/small/car", "new/small/car"]
    after = learner.calibration.apply(risk, buckets)
    assert after.right[0] > 0.6
    assert after.right[1:].tolist() == [0.4, 0.0, 1.0]
    assert after.loss[1:].tolist() == [0.4, 0.0, 0.0]


def test_a_new_class_begins_with_what_its_branch_has_taught() -> None:
    learner = Learner("g")
    feed(learner, 300, shift=2.0)
    after = learner.calibration.apply(Risk.of(np.array([0.5]), np.ones(1)), ["new/large/bus"])
    assert after.right[0] > 0.7


def test_rare_audits_weigh_as_many_boxes_as_they_stand_for() -> None:
    rare, often = Learner("g"), Learner("g")
    feed(rare, 100, shift=1.0, rate=0.01)
    feed(often, 100, shift=1.0, rate=0.05)
    assert rare.outcomes == pytest.approx(often.outcomes) == pytest.approx(400)
    # Mixed, those of the rare coin count more, and the whole for fewer than were seen.
    feed(rare, 100, shift=-1.0, rate=0.05, seed=1)
    assert 400 < rare.outcomes < 800
    assert (
        rare.learn(np.array([0.5]), CARS, np.array([True]), audit_rate=0.0, model="m", at_s=0)
        is None
    )


def test_a_restart_forgets_nothing() -> None:
    one, other = Learner("g"), Learner("g")
    records: dict[str, ScoreCalibration] = {}
    for turn in range(8):
        feed(one, 50, shift=1.5, seed=turn)
        feed(other, 50, shift=1.5, seed=turn)
        told = other.record()
        assert told is not None
        key, news = told
        before = records[key].document() if key in records else {}
        rule = rule_for(f"default/cam/calibration/{key}")
        both = merge({}, before, news.document(), rule) if before else news.document()
        records[key] = ScoreCalibration.of(both)
        before_restart = other.calibration.version
        other = Learner("g", records)
        assert other.calibration.version == before_restart
    assert list(records) == [key_of("g", "heavy 1")]
    assert other.outcomes == pytest.approx(one.outcomes)
    assert other.record() is None
    half = Risk.of(np.array([0.5]), np.ones(1))
    assert other.calibration.apply(half, CARS).right[0] == pytest.approx(
        one.calibration.apply(half, CARS).right[0], abs=0.05
    )


def test_counts_of_another_gate_or_other_bins_are_not_used() -> None:
    learner = Learner("g")
    feed(learner, 300, shift=2.0)
    told = learner.record()
    assert told is not None
    key, known = told
    assert Learner("g", {key: known}).calibration.version
    assert Learner("h", {key: known}).calibration is NO_CALIBRATION
    other = known.model_copy(update={"low": -5.0})
    assert Learner("g", {key: other}).calibration is NO_CALIBRATION


def test_another_heavy_model_begins_anew_and_is_remembered() -> None:
    learner = Learner("g")
    feed(learner, 300, shift=2.0)
    told = learner.record()
    assert told is not None
    feed(learner, 1, shift=0.0, model="heavy 2")
    assert learner.calibration.version == ""
    again = Learner("g", dict([told]))
    assert again.calibration.version
    feed(again, 1, shift=0.0, model="heavy 2")
    assert again.calibration.version == ""
    feed(again, 1, shift=0.0, model="heavy 1")
    assert again.outcomes == pytest.approx(1204)


def test_a_camera_of_many_classes_fills_no_memory() -> None:
    learner = Learner("g")
    draw = np.random.default_rng(0)
    for turn in range(300):
        buckets = [f"{b}/{s}/class {turn}" for b in BRANCHES for s in SIZES]
        right = draw.random(len(buckets))
        outcomes = draw.random(len(buckets)) < right
        learner.learn(right, buckets, outcomes, audit_rate=0.01, model="m", at_s=0.0)
    told = learner.record()
    assert told is not None
    assert len(told[1].seen) <= MAX_BUCKETS
    assert "new/small/*" in told[1].seen
    assert len(repr(told[1].document())) < 64 * 1024 / 2


def test_nonsense_is_not_learned() -> None:
    learner = Learner("g")
    right = np.array([np.nan, 0.0, 1.0, 0.5])
    learner.learn(right, [*CARS * 3, ""], np.ones(4, bool), audit_rate=0.1, model="m", at_s=0.0)
    assert learner.outcomes == 0
    assert learner.record() is None


def test_curves_change_seldom() -> None:
    learner, versions = Learner("g"), set()
    for turn in range(100):
        feed(learner, 10, shift=1.0, seed=turn)
        versions.add(learner.calibration.version)
    assert 2 <= len(versions) <= 14


def test_the_fingerprint_is_of_the_model() -> None:
    cold = cold_start()
    assert fingerprint(cold) == fingerprint(cold_start())
    other = RiskModel(cold.present, cold.same_class, cold.refuted, cold.refuted)
    assert fingerprint(other) != fingerprint(cold)


def test_boxes_are_sorted_into_buckets() -> None:
    features = np.zeros((3, len(SIGHT)))
    features[:, SIGHT.index("size")] = np.log([20.0, 50.0, 200.0])
    found = buckets_of(features, ["car", "car", "a/b"], [None] * 3, 0.0)
    assert found == ["new/small/car", "new/medium/car", "new/large/a/b"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"right": {"new/small/car": (2, 0)}}, "more were right"),
        ({"squares": {}}, "same buckets"),
        ({"seen": {"new/small/car": (1, 0, 0)}}, "number|strict|longer|shorter"),
        ({"high": -4.0}, "high"),
        ({"seen": {"new/small/car": (-1, 0)}}, "seen"),
        ({"trial": {"new": (1, 2)}}, "trial"),
    ],
)
def test_records_that_make_no_sense_are_refused(changes: dict[str, object], said: str) -> None:
    good = {
        "schema": 1, "gate": "g", "model": "m", "at_s": 0.0, "low": -4.0, "high": 4.0,
        "seen": {"new/small/car": (1, 0)}, "right": {"new/small/car": (1, 0)},
        "squares": {"new/small/car": 1},
    }  # fmt: skip
    assert ScoreCalibration.of(good).seen == {"new/small/car": (1, 0)}
    with pytest.raises(ValueError, match=said):
        ScoreCalibration.of({**good, **changes})
