"""Matching: greedy by score, class-aware by name, with objects that do not count."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import UNMATCHED, Counts, match
from secondlook.shared.values import Detections

NAMES = ("car", "person")
A, B = (0, 0, 100, 100), (200, 0, 300, 100)


def boxes(*rows: tuple[tuple[int, ...], float, str], names: tuple[str, ...] = NAMES) -> Detections:
    """Detections from (box, score, class name) rows."""
    return Detections.of(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [names.index(row[2]) for row in rows],
        names,
    )


def test_hits_misses_and_false_alarms_are_counted() -> None:
    said = boxes((A, 0.9, "car"), ((400, 0, 500, 100), 0.8, "car"))
    there = boxes((A, 1, "car"), (B, 1, "person"))
    counts = match(said, there).counts
    assert counts == Counts(1, 1, 1)
    assert (counts.recall, counts.precision, counts.f1) == (0.5, 0.5, 0.5)


def test_the_better_score_chooses_first() -> None:
    # The weaker box overlaps the object more, but comes second and finds it taken.
    said = boxes((A, 0.5, "car"), ((0, 0, 100, 80), 0.9, "car"))
    matching = match(said, boxes((A, 1, "car")))
    assert matching.partner.tolist() == [UNMATCHED, 0]
    assert matching.counts == Counts(1, 1, 0)


def test_each_takes_the_object_it_overlaps_most() -> None:
    shifted = (20, 0, 120, 100)
    there = boxes((shifted, 1, "car"), (A, 1, "car"))
    assert match(boxes((A, 0.9, "car")), there).partner.tolist() == [1]


@pytest.mark.parametrize(("height", "hit"), [(50, True), (49, False)])
def test_half_an_overlap_is_just_enough(height: int, hit: bool) -> None:
    counts = match(boxes(((0, 0, 100, height), 0.9, "car")), boxes((A, 1, "car"))).counts
    assert counts == (Counts(1, 0, 0) if hit else Counts(0, 1, 1))


def test_another_class_at_the_same_place_is_an_error_twice() -> None:
    assert match(boxes((A, 0.9, "person")), boxes((A, 1, "car"))).counts == Counts(0, 1, 1)


def test_classes_are_compared_by_name_across_class_lists() -> None:
    said = boxes((A, 0.9, "car"), (B, 0.9, "unicorn"), names=("unicorn", "person", "car"))
    assert match(said, boxes((A, 1, "car"), (B, 1, "person"))).counts == Counts(1, 1, 1)


def test_an_ignored_object_is_neither_miss_nor_false_alarm() -> None:
    there = boxes((A, 1, "car"), (B, 1, "car"))
    ignore = np.array([False, True])
    assert match(boxes((A, 0.9, "car")), there, ignore=ignore).counts == Counts(1, 0, 0)
    said = boxes((B, 0.9, "car"), (B, 0.8, "car"))
    matching = match(said, there, ignore=ignore)
    assert matching.neutral.tolist() == [True, True]
    assert matching.counts == Counts(0, 0, 1)


def test_an_object_that_counts_goes_before_one_that_does_not() -> None:
    there = boxes((A, 1, "car"), ((0, 0, 100, 90), 1, "car"))
    matching = match(boxes(((0, 0, 100, 90), 0.9, "car")), there, ignore=np.array([False, True]))
    assert matching.partner.tolist() == [0]


@pytest.mark.parametrize(
    ("said", "there", "expected"),
    [
        (boxes(), boxes(), Counts(0, 0, 0)),
        (boxes((A, 0.5, "car")), boxes(), Counts(0, 1, 0)),
        (boxes(), boxes((A, 0.5, "car")), Counts(0, 0, 1)),
    ],
)
def test_empty_sides(said: Detections, there: Detections, expected: Counts) -> None:
    assert match(said, there).counts == expected


def test_empty_frames_are_perfect_and_sums_are_micro_averages() -> None:
    assert (Counts().recall, Counts().precision, Counts().f1) == (1.0, 1.0, 1.0)
    total = Counts(9, 1, 0) + Counts(0, 0, 10)
    assert total.recall == pytest.approx(9 / 19)
    assert total.f1 == pytest.approx(18 / 29)


def test_degenerate_boxes_match_nothing() -> None:
    flat = (10, 10, 10, 10)
    assert match(boxes((flat, 0.9, "car")), boxes((flat, 1, "car"))).counts == Counts(0, 1, 1)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInput, match="ignore"):
        match(boxes(), boxes((A, 1, "car")), ignore=np.zeros(2, bool))
    for bad in (0.0, 1.5, float("nan")):
        with pytest.raises(InvalidInput, match="iou_threshold"):
            match(boxes(), boxes(), iou_threshold=bad)
