"""What holds for evidence whatever a light model says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.evidence.clusters import cluster
from secondlook.edge.evidence.features import SIGHT, sight_features
from secondlook.edge.evidence.statistics import TrackStatistics
from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.shared.geometry import iou
from secondlook.shared.values import Detections

NAMES = ("a", "b", "c")

_place = st.floats(-50, 300, width=32)
_side = st.floats(0, 120, width=32)
_row = st.tuples(_place, _place, _side, _side, st.floats(0.0625, 1, width=32), st.integers(0, 2))
_rows = st.lists(_row, max_size=25)
_solid = st.lists(_row.filter(lambda row: min(row[2:4]) >= 1), max_size=25)
Row = tuple[float, float, float, float, float, int]


def _detections(rows: list[Row]) -> Detections:
    return Detections.of(
        [(x, y, x + w, y + h) for x, y, w, h, _, _ in rows],
        [row[4] for row in rows],
        [row[5] for row in rows],
        NAMES,
    )


@given(_solid, st.floats(0.1, 0.9))
def test_clusters_divide_the_boxes_among_them(rows: list[Row], threshold: float) -> None:
    settings = TrackerSettings(suppress_iou=threshold, max_boxes=1000)
    found = cluster(_detections(rows), settings)
    assert found.sizes.sum() == len(rows)
    assert (found.sizes >= 1).all()
    scores, classes = found.detections.scores, found.detections.classes
    assert (np.diff(scores) <= 0).all(), "best first"
    # A box that belongs to two is counted with the one that it overlaps most, also a weaker one.
    assert (found.class_scores[np.arange(len(found)), classes] >= scores).all()
    overlap = iou(found.detections.boxes, found.detections.boxes)
    np.fill_diagonal(overlap, 0.0)
    assert (overlap <= threshold + 1e-6).all()
    assert ((found.margins >= 0) & (found.margins <= 1)).all()


@given(_rows)
def test_boxes_without_area_are_counted_at_most_once(rows: list[Row]) -> None:
    found = cluster(_detections(rows), TrackerSettings(max_boxes=1000))
    assert len(found) <= found.sizes.sum() <= len(rows)


@given(_rows, st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_order_of_boxes_is_irrelevant_also_where_there_are_too_many(
    rows: list[Row], shuffler: object, most: int
) -> None:
    settings = TrackerSettings(max_boxes=most)
    mixed = list(rows)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = cluster(_detections(rows), settings), cluster(_detections(mixed), settings)
    assert len(one) == len(other) <= most
    np.testing.assert_array_equal(one.detections.boxes, other.detections.boxes)
    np.testing.assert_array_equal(one.detections.classes, other.detections.classes)
    np.testing.assert_array_equal(one.class_scores, other.class_scores)
    np.testing.assert_array_equal(one.sizes, other.sizes)


@given(st.lists(_rows, max_size=5), st.lists(st.floats(-10, 1e6), min_size=5, max_size=5))
def test_features_are_finite_and_shares_are_shares(
    frames: list[list[Row]], times_s: list[float]
) -> None:
    statistics = TrackStatistics(len(NAMES))
    for rows, time_s in zip(frames, times_s, strict=False):
        found = cluster(_detections(rows), TrackerSettings())
        ids = list(range(len(found)))
        classes = statistics.see(ids, found, np.arange(len(ids)), time_s)
        assert ((classes >= 0) & (classes < len(NAMES))).all()
        features = sight_features(found, np.arange(len(ids)), ids, statistics, (320, 240))
        assert features.shape == (len(found), len(SIGHT))
        assert np.isfinite(features).all()
        for name in ("border", "margin", "class_share", "hidden"):
            values = features[:, SIGHT.index(name)]
            assert ((values >= 0) & (values <= 1 + 1e-6)).all(), name
        assert (np.abs(features[:, SIGHT.index("speed")]) <= 5).all()
        statistics.keep(set(ids[::2]))
        assert len(statistics) == len(ids[::2])
