"""What overlapping boxes of a light model say together about one object."""

from __future__ import annotations

import numpy as np
from support.edge import NAMES, Seen, seen

from secondlook.edge.evidence.clusters import Clusters, cluster
from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.shared.values import Detections

CAR: Seen = ((100, 100, 140, 140), 0.6, "car")
SAME_AS_BOTTLE: Seen = ((101, 100, 141, 140), 0.4, "bottle")
SAME_WEAKER: Seen = ((99, 100, 139, 140), 0.3, "car")
ELSEWHERE: Seen = ((10, 10, 50, 60), 0.9, "person")


def _of(*boxes: Seen, **settings: float) -> Clusters:
    return cluster(seen(*boxes), TrackerSettings(**settings))


def test_boxes_of_one_object_are_one_cluster_with_all_they_said() -> None:
    found = _of(SAME_WEAKER, ELSEWHERE, CAR, SAME_AS_BOTTLE)
    assert found.detections.class_names() == ["person", "car"]
    np.testing.assert_allclose(found.detections.boxes, [ELSEWHERE[0], CAR[0]])
    assert found.sizes.tolist() == [1, 3]
    np.testing.assert_allclose(found.class_scores, [[0.9, 0, 0], [0, 0.6, 0.4]])
    np.testing.assert_allclose(found.margins, [0.9, 0.2], rtol=1e-6)
    assert len(found) == 2


def test_a_single_class_has_its_score_for_a_margin() -> None:
    alone = Detections.of([(0, 0, 10, 10)], [0.7], [0], ("car",))
    np.testing.assert_allclose(cluster(alone, TrackerSettings()).margins, [0.7], rtol=1e-6)


def test_nothing_is_no_cluster() -> None:
    none = _of()
    assert len(none) == 0
    assert none.class_scores.shape == (0, len(NAMES))
    assert none.margins.shape == (0,)


def test_the_order_of_boxes_is_irrelevant() -> None:
    boxes = [CAR, SAME_AS_BOTTLE, SAME_WEAKER, ELSEWHERE, (CAR[0], 0.6, "bottle")]
    first, other = _of(*boxes), _of(*reversed(boxes))
    np.testing.assert_array_equal(first.detections.boxes, other.detections.boxes)
    np.testing.assert_array_equal(first.detections.classes, other.detections.classes)
    np.testing.assert_array_equal(first.class_scores, other.class_scores)
    np.testing.assert_array_equal(first.sizes, other.sizes)


def test_a_box_belongs_to_the_cluster_that_it_overlaps_most() -> None:
    left: Seen = ((0, 0, 100, 100), 0.9, "car")
    right: Seen = ((40, 0, 140, 100), 0.8, "car")
    nearer_right: Seen = ((38, 0, 138, 100), 0.3, "bottle")
    found = _of(left, right, nearer_right, suppress_iou=0.5)
    assert found.sizes.tolist() == [1, 2]
    np.testing.assert_allclose(found.class_scores[1], [0, 0.8, 0.3], rtol=1e-6)


def test_clusters_are_bounded_and_the_best_stay() -> None:
    boxes: list[Seen] = [
        ((20.0 * i, 0, 20.0 * i + 15, 15), 0.1 + 0.001 * i, "car") for i in range(300)
    ]
    found = _of(*boxes, max_boxes=10)
    assert len(found) == 10
    assert found.detections.scores.min() > 0.1 + 0.001 * 288
    assert (found.sizes == 1).all()


def test_boxes_without_area_each_stand_alone() -> None:
    point: Seen = ((50, 50, 50, 50), 0.5, "car")
    found = _of(point, point)
    assert found.sizes.sum() >= len(found) >= 1
    assert (found.sizes >= 1).all()
    assert np.isfinite(found.class_scores).all()
