"""The numbers a risk model reads. Their names and order are part of every gate file."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.edge import NAMES, Seen, seen

from secondlook.edge.evidence.clusters import cluster
from secondlook.edge.evidence.features import (
    CHANGE,
    SIGHT,
    change_features,
    class_weight,
    hidden_share,
    sight_features,
    touches_border,
)
from secondlook.edge.evidence.statistics import TrackStatistics
from secondlook.edge.fusion import Belief
from secondlook.edge.gate.logistic import Floats
from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.shared.geometry import Boxes

CAR: Seen = ((100, 100, 140, 140), 0.6, "car")


def test_columns_keep_their_names_and_places() -> None:
    """A gate file names them. New ones come at the end, under new names."""
    assert SIGHT[:15] == (
        "score", "smoothed", "mean", "best", "deviation", "size", "aspect", "hits", "border",
        "margin", "class_share", "flips", "hidden", "speed", "cluster",
    )  # fmt: skip
    assert CHANGE[:8] == (
        "verdict", "age", "risen", "smoothed_risen", "grown", "confirmations", "same_class",
        "agreed",
    )  # fmt: skip
    assert len({*SIGHT, *CHANGE}) == len(SIGHT) + len(CHANGE)


def _sights(*boxes: Seen, size: tuple[int, int] = (320, 240), frames: int = 1) -> Floats:
    found = cluster(seen(*boxes), TrackerSettings())
    statistics = TrackStatistics(len(NAMES))
    ids = list(range(len(found)))
    rows = np.arange(len(found))
    for step in range(frames):
        statistics.see(ids, found, rows, step / 10)
    return sight_features(found, rows, ids, statistics, size)


def _column(features: Floats, name: str) -> list[float]:
    return features[:, SIGHT.index(name)].tolist()


def test_a_box_in_numbers() -> None:
    bottle: Seen = ((100, 100, 140, 140), 0.3, "bottle")
    (row,) = _sights(CAR, bottle, frames=3)
    features = dict(zip(SIGHT, row.tolist(), strict=True))
    odds = math.log(0.6 / 0.4)
    for name in ("score", "smoothed", "mean", "best"):
        assert features[name] == pytest.approx(odds, abs=1e-5), name
    assert features["deviation"] == pytest.approx(0.0, abs=1e-6)
    assert features["size"] == pytest.approx(math.log(80)), "as if 640 pixels were as long as 320"
    assert features["aspect"] == 0.0
    assert features["hits"] == pytest.approx(math.log(3))
    assert features["border"] == 0.0
    assert features["margin"] == pytest.approx(0.3, abs=1e-6)
    assert features["class_share"] == pytest.approx(2 / 3, abs=1e-5)
    assert features["flips"] == 0.0
    assert features["hidden"] == 0.0
    assert features["speed"] == 0.0
    assert features["cluster"] == pytest.approx(math.log(2))


def test_the_size_does_not_depend_on_the_resolution() -> None:
    small = _sights(((10, 10, 30, 50), 0.5, "car"), size=(320, 240))
    large = _sights(((40, 40, 120, 200), 0.5, "car"), size=(1280, 960))
    assert _column(small, "size") == pytest.approx(_column(large, "size"))


def test_counts_and_speeds_are_bounded() -> None:
    assert _column(_sights(CAR, frames=200), "hits") == [pytest.approx(math.log(50))]
    statistics = TrackStatistics(len(NAMES))
    for step in range(30):
        found = cluster(
            seen(((100.0 * step, 0, 100.0 * step + 4, 4), 0.5, "car")), TrackerSettings()
        )
        statistics.see([1], found, np.arange(1), step / 100)
    features = sight_features(found, np.arange(1), [1], statistics, (4000, 240))
    assert _column(features, "speed") == [5.0]


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((0, 50, 40, 90), True),
        ((50, 1, 90, 40), True),
        ((250, 50, 319, 90), True),
        ((50, 150, 90, 240), True),
        ((-30, 50, 20, 90), True),
        ((10, 10, 300, 230), False),
    ],
)
def test_boxes_at_the_border_are_told(box: tuple, touches: bool) -> None:
    assert touches_border(np.array([box], np.float32), (320, 240)).tolist() == [touches]


def test_what_a_stronger_box_hides() -> None:
    boxes: Boxes = np.array(
        [[0, 0, 100, 100], [50, 0, 150, 100], [60, 10, 90, 40], [300, 0, 400, 100]], np.float32
    )
    np.testing.assert_allclose(hidden_share(boxes), [0.0, 0.5, 1.0, 0.0])
    assert hidden_share(boxes[:1]).tolist() == [0.0]
    assert hidden_share(boxes[:0]).shape == (0,)


@pytest.mark.parametrize(
    "boxes",
    [
        [((50, 50, 50, 50), 0.5, "car")],
        [((-1e6, -1e6, 1e6, 1e6), 1.0, "car"), ((0, 0, 1e-3, 1e5), 0.05, "car")],
        [((1e8, 1e8, 1e8, 1e8), 0.9, "person")],
        [],
    ],
)
def test_absurd_boxes_give_finite_numbers(boxes: list[Seen]) -> None:
    features = _sights(*boxes, frames=2)
    assert features.shape == (len(features), len(SIGHT))
    assert np.isfinite(features).all()


def test_thousands_of_boxes_give_finite_numbers_about_the_best() -> None:
    dice = np.random.default_rng(1)
    boxes: list[Seen] = [
        ((float(x), float(y), float(x + w), float(y + h)), float(s), "car")
        for x, y, w, h, s in dice.uniform(0, 300, (3000, 5)) / [1, 1, 5, 5, 300]
    ]
    features = _sights(*boxes)
    assert len(features) == TrackerSettings().max_boxes
    assert np.isfinite(features).all()


def _belief(**given: object) -> Belief:
    plain = Belief(
        at_s=10.0,
        until_s=15.0,
        refuted=False,
        class_index=1,
        score=0.8,
        box=np.array(CAR[0], np.float32),
        look=np.zeros((4, 4), np.uint8),
        edge_class=1,
        edge_score=0.4,
        confirmations=2,
        request_id="",
    )
    return replace(plain, **given)


def _change(belief: Belief, *, time_s: float = 12.0, box: tuple = CAR[0]) -> dict[str, float]:
    features = _sights((box, 0.6, "car"))
    changes = change_features(
        features, np.array([box], np.float32), np.array([1], np.int32), [belief], time_s
    )
    assert np.isfinite(changes).all()
    return dict(zip(CHANGE, changes[0].tolist(), strict=True))


def test_what_has_changed_since_a_verdict() -> None:
    change = _change(_belief(), box=(100, 100, 140, 180))
    assert change["verdict"] == pytest.approx(math.log(4), abs=1e-5)
    assert change["age"] == pytest.approx(math.log(3))
    risen = math.log(0.6 / 0.4) - math.log(0.4 / 0.6)
    assert change["risen"] == pytest.approx(risen, abs=1e-5)
    assert change["smoothed_risen"] == pytest.approx(risen, abs=1e-5)
    assert change["grown"] == pytest.approx(math.log(2))
    assert change["confirmations"] == pytest.approx(math.log(3))
    assert change["same_class"] == change["agreed"] == 1.0


def test_a_refutation_has_no_score_and_a_class_that_stands_may_be_another() -> None:
    assert _change(_belief(refuted=True, score=0.0))["verdict"] == 0.0
    other = _change(_belief(class_index=2, edge_class=0))
    assert other["same_class"] == other["agreed"] == 0.0


def test_verdicts_about_later_frames_are_as_far_away() -> None:
    assert _change(_belief(), time_s=8.0)["age"] == _change(_belief(), time_s=12.0)["age"]


def test_absurd_beliefs_give_finite_numbers() -> None:
    _change(_belief(box=np.zeros(4, np.float32), edge_score=0.0, score=1.0), time_s=1e12)
    _change(_belief(edge_class=-1, edge_score=0.0), box=(50, 50, 50, 50))


def test_nothing_has_not_changed() -> None:
    none = change_features(
        np.empty((0, len(SIGHT))), np.empty((0, 4), np.float32), np.empty(0, np.int32), [], 0.0
    )
    assert none.shape == (0, len(CHANGE))


def test_the_weight_of_a_class_is_between_nothing_and_one() -> None:
    sure, unsure = _sights((CAR[0], 0.95, "car")), _sights((CAR[0], 0.2, "car"))
    wavering = _sights((CAR[0], 0.95, "car"), (CAR[0], 0.9, "bottle"))
    assert 0 <= class_weight(unsure[0]) < class_weight(sure[0]) <= 1
    assert class_weight(wavering[0]) < class_weight(sure[0])
