"""What an audited frame boils down to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import lowest_risk
from secondlook.shared.values import Detections

NAMES = ("car", "person")
NOTHING = Detections.empty(NAMES)
NO_REGIONS = np.empty((0, 4), np.float32)


def boxes(*rows: tuple[float, float, float, float, int]) -> Detections:
    return Detections.of([r[:4] for r in rows], [0.9] * len(rows), [r[4] for r in rows], NAMES)


def regions(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


CAR = (10.0, 10.0, 30.0, 30.0, 0)
PERSON = (100.0, 10.0, 110.0, 40.0, 1)
AROUND_CAR = (5.0, 5.0, 40.0, 40.0)
AROUND_PERSON = (90.0, 0.0, 120.0, 50.0)


def test_nothing_missed_is_infinite() -> None:
    both = boxes(CAR, PERSON)
    risks = np.array([0.4])
    assert lowest_risk(both, both, regions(AROUND_CAR), risks) == math.inf
    assert lowest_risk(both, NOTHING, NO_REGIONS, np.empty(0)) == math.inf


def test_a_missed_object_has_the_highest_risk_of_what_shows_it() -> None:
    risks = np.array([0.2, 0.35, 0.9])
    shown = regions(AROUND_CAR, (0.0, 0.0, 50.0, 50.0), AROUND_PERSON)
    assert lowest_risk(NOTHING, boxes(CAR), shown, risks) == 0.35


def test_the_lowest_of_the_missed_objects_counts() -> None:
    shown, risks = regions(AROUND_CAR, AROUND_PERSON), np.array([0.5, 0.1])
    heavy = boxes(CAR, PERSON)
    assert lowest_risk(NOTHING, heavy, shown, risks) == 0.1
    assert lowest_risk(boxes(PERSON), heavy, shown, risks) == 0.5


def test_an_object_that_no_region_shows_has_risk_zero() -> None:
    heavy = boxes(CAR, PERSON)
    assert lowest_risk(NOTHING, heavy, regions(AROUND_CAR), np.array([0.5])) == 0.0
    assert lowest_risk(NOTHING, heavy, NO_REGIONS, np.empty(0)) == 0.0
    # Half of it is not enough.
    half = regions((5.0, 5.0, 20.0, 40.0))
    assert lowest_risk(NOTHING, boxes(CAR), half, np.array([0.5])) == 0.0
    assert lowest_risk(NOTHING, boxes(CAR), half, np.array([0.5]), covered=0.5) == 0.5


def test_a_wrong_class_is_a_miss() -> None:
    wrong = boxes((*CAR[:4], 1))
    assert lowest_risk(wrong, boxes(CAR), regions(AROUND_CAR), np.array([0.3])) == 0.3


@pytest.mark.parametrize(
    ("shown", "risks"),
    [
        (regions(AROUND_CAR), np.array([0.1, 0.2])),
        (NO_REGIONS, np.array([0.1])),
        (regions(AROUND_CAR), np.array([math.nan])),
        (regions(AROUND_CAR), np.array([1.5])),
        (regions(AROUND_CAR), np.array([-0.1])),
        (regions(AROUND_CAR), np.array([[0.1]])),
    ],
)
def test_candidates_that_make_no_sense_are_refused(shown: np.ndarray, risks: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        lowest_risk(NOTHING, boxes(CAR), shown, risks)
