"""The two metrics: what counts, and what a second label of one object is worth."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import (
    ALL_CLASSES,
    STREET_CLASSES,
    Counts,
    Metric,
    classes_of_interest,
    spread,
    without_double_labels,
)
from secondlook.shared.values import Detections

NAMES = ("car", "truck", "kite")
BOX, OVER = [0, 0, 100, 100], [0, 0, 100, 90]
TWO_LABELS = Detections.of([BOX, OVER, BOX], [0.6, 0.9, 0.7], [0, 1, 2], NAMES)


def test_the_weaker_of_two_labels_goes_whatever_its_class() -> None:
    kept = without_double_labels(TWO_LABELS)
    assert kept.class_names() == ["truck"]


def test_boxes_that_overlap_less_both_stay() -> None:
    apart = Detections.of([BOX, [0, 0, 100, 70]], [0.9, 0.8], [0, 1], NAMES)
    assert len(without_double_labels(apart)) == 2


def test_a_class_that_does_not_count_suppresses_nothing() -> None:
    said = Detections.of([BOX, OVER], [0.6, 0.9], [0, 2], NAMES)
    assert Metric().prepare(said).class_names() == ["car"]


def test_agreement_with_and_without_double_labels() -> None:
    single = Detections.of([OVER], [0.9], [1], NAMES)
    assert Metric().compare(single, TWO_LABELS) == Counts(1, 0, 0)
    assert ALL_CLASSES.compare(single, TWO_LABELS) == Counts(1, 0, 2)


def test_truth_keeps_objects_that_overlap() -> None:
    truth = Detections.of([BOX, OVER], [1, 1], [0, 1], NAMES)
    said = Detections.of([OVER], [0.9], [1], NAMES)
    assert Metric().compare_with_truth(said, truth) == Counts(1, 0, 1)
    ignore = np.array([True, False])
    assert Metric().compare_with_truth(said, truth, ignore) == Counts(1, 0, 0)


def test_truth_of_other_classes_is_not_missed() -> None:
    truth = Detections.of([BOX], [1], [2], NAMES)
    nothing = Detections.empty(NAMES)
    assert Metric().compare_with_truth(nothing, truth, np.array([False])) == Counts()
    assert ALL_CLASSES.compare_with_truth(nothing, truth) == Counts(0, 0, 1)
    assert Metric().compare_with_truth(nothing, nothing) == Counts()


def test_the_street_set_is_the_default_as_far_as_both_models_know_it() -> None:
    assert classes_of_interest(None, [*STREET_CLASSES, "kite"]) == STREET_CLASSES
    assert classes_of_interest(None, ["car", "dog"], ["dog", "car"]) == ("car",)
    assert classes_of_interest(None, ["cell", "dust"], ["dust"]) == ("dust",)


def test_asked_classes_are_checked_against_both_models() -> None:
    assert classes_of_interest([" car", "car", "dog "], ["dog", "car"], ["car", "dog"]) == (
        "car",
        "dog",
    )
    with pytest.raises(InvalidInput, match=r"unknown class 'cat'; both models know: dog, car"):
        classes_of_interest(["cat", "dog"], ["dog", "car"], ["car", "dog"])
    with pytest.raises(InvalidInput, match="empty list"):
        classes_of_interest([" "], ["dog"], ["dog"])


def test_models_without_a_common_class_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no class in common: \[car\] against \[cell\]"):
        classes_of_interest(None, ["car"], ["cell"])


def test_spread_of_nothing_one_and_many() -> None:
    assert (spread([]).p50, spread([]).p95) == (None, None)
    assert (spread([3.0]).p50, spread([3.0]).p95) == (3.0, 3.0)
    many = spread([float(i) for i in range(101)])
    assert (many.p50, many.p95) == (50.0, 95.0)
