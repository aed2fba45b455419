"""Laws of matching that hold for any boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.shared.geometry import iou
from secondlook.shared.measure import UNMATCHED, Metric, match, without_double_labels
from secondlook.shared.values import Detections

NAMES = ("car", "person", "bus")


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 40),
                st.integers(0, 40),
                st.integers(0, 40),
                st.integers(0, 40),
                st.floats(0, 1, width=32),
                st.integers(0, 2),
            ),
            max_size=12,
        )
    )
    boxes = [[x, y, x + w, y + h] for x, y, w, h, _, _ in rows]
    return Detections.of(boxes, [r[4] for r in rows], [r[5] for r in rows], NAMES)


@given(said=detections(), there=detections(), data=st.data())
def test_every_box_is_accounted_for_once(
    said: Detections, there: Detections, data: st.DataObject
) -> None:
    ignore = np.array(data.draw(st.lists(st.booleans(), min_size=len(there), max_size=len(there))))
    ignore = ignore.astype(bool)
    matching = match(said, there, ignore=ignore)
    counts = matching.counts
    neutral = int(matching.neutral.sum())
    assert counts.true_positives + counts.false_positives + neutral == len(said)
    assert counts.true_positives + counts.false_negatives == int((~ignore).sum())
    partners = matching.partner[matching.partner != UNMATCHED]
    assert len(set(partners.tolist())) == len(partners)
    for row, partner in enumerate(matching.partner):
        if partner != UNMATCHED:
            assert said.classes[row] == there.classes[partner]
            pair = iou(said.boxes[row : row + 1], there.boxes[partner : partner + 1])
            assert pair[0, 0] >= 0.5


@given(some=detections())
def test_what_has_an_area_agrees_with_itself(some: Detections) -> None:
    solid = some.select(some.areas() > 0)
    counts = match(solid, solid).counts
    assert (counts.false_positives, counts.false_negatives) == (0, 0)


@given(said=detections(), there=detections())
def test_shuffling_the_objects_changes_no_count_of_clean_boxes(
    said: Detections, there: Detections
) -> None:
    # Ties in overlap may pair differently; the numbers that are published may not depend on it.
    metric = Metric(classes=None, dedupe_iou=0.5)
    turned = there.select(np.arange(len(there))[::-1])
    if len(set(there.scores.tolist())) == len(there):
        assert metric.compare(said, there) == metric.compare(said, turned)


@settings(max_examples=50)
@given(some=detections())
def test_double_labels_are_gone_and_the_best_stays(some: Detections) -> None:
    kept = without_double_labels(some, 0.7)
    overlap = iou(kept.boxes, kept.boxes)
    np.fill_diagonal(overlap, 0)
    assert (overlap <= 0.7).all()
    if len(some):
        assert kept.scores.max() == some.scores.max()
