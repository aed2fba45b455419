"""A verdict read against the edge's boxes."""

from __future__ import annotations

import numpy as np
from support.edge import Seen, seen

from secondlook.edge.fusion import Reading, read
from secondlook.edge.fusion.reading import Known, reread
from secondlook.edge.pipeline_settings import FusionSettings
from secondlook.shared.values import Detections, FrameRef, Region

FRAME = FrameRef("gate", 1, 0.0, 0.0, 320, 240)
WHOLE = Region(0, 0, 320, 240)
CAR: Seen = ((100, 100, 140, 140), 0.4, "car")


def _read(edge: Detections, cloud: Detections, *regions: Region) -> Reading:
    return read(edge, cloud, regions or (WHOLE,), FRAME, FusionSettings())


def test_the_same_object_is_matched_whatever_its_class() -> None:
    reading = _read(seen(CAR), seen(((102, 100, 142, 140), 0.9, "person")))
    assert reading.seen == ((0, 0),)
    assert reading.refuted == ()
    assert reading.new == ()


def test_nothing_there_refutes_and_something_elsewhere_is_new() -> None:
    reading = _read(seen(CAR), seen(((200, 50, 240, 90), 0.9, "car")))
    assert reading.seen == ()
    assert reading.refuted == (0,)
    assert reading.new == (0,)


def test_boxes_of_the_cloud_below_the_score_do_not_count() -> None:
    reading = _read(seen(CAR), seen(((100, 100, 140, 140), 0.2, "car")))
    assert reading.refuted == (0,)
    assert len(reading.verdict) == 0


def test_of_a_known_object_the_cloud_need_not_be_as_sure() -> None:
    edge = seen(CAR, ((20, 20, 40, 40), 0.4, "car"))
    known = Known(edge.boxes[:1], edge.classes[:1])

    def read_again(score: float, name: str = "car", **settings: float) -> Reading:
        said = seen(((106, 100, 146, 140), score, name), ((20, 20, 40, 40), score, "car"))
        return read(edge, said, (WHOLE,), FRAME, FusionSettings(**settings), known)

    # The second place looks the same, and nobody has found anything there.
    weak = read_again(0.21)
    assert (weak.seen, weak.refuted, weak.new) == (((0, 0),), (1,), ())
    assert read_again(0.19).refuted == (0, 1)
    assert read_again(0.21, weak_score=0.25).refuted == (0, 1)
    assert read_again(0.25).seen == ((0, 0), (1, 1))


def test_a_weak_box_beside_a_sure_one_is_no_second_object() -> None:
    known = Known(seen(CAR).boxes, seen(CAR).classes)
    said = seen(((104, 100, 144, 140), 0.22, "car"), ((104, 104, 144, 144), 0.9, "person"))
    reading = read(seen(CAR), said, (WHOLE,), FRAME, FusionSettings(), known)
    assert reading.verdict.scores.tolist() == [np.float32(0.9)]
    # Nor is one that is known, but not where the edge sees something, ever new.
    elsewhere = Known(np.array([[200, 50, 240, 90]], np.float32), seen(CAR).classes)
    said = seen(((200, 50, 240, 90), 0.22, "car"))
    assert read(seen(CAR), said, (WHOLE,), FRAME, FusionSettings(), elsewhere).new == ()


def test_a_verdict_speaks_for_its_regions_only() -> None:
    region = Region(80, 80, 80, 80)
    outside: Seen = ((200, 50, 240, 90), 0.3, "car")
    half: Seen = ((140, 100, 190, 130), 0.3, "car")
    reading = _read(seen(CAR, outside, half), seen(((205, 55, 245, 95), 0.9, "car")), region)
    assert reading.refuted == (0,)
    assert reading.new == ()


def test_what_a_region_cuts_off_is_not_a_new_object() -> None:
    region = Region(80, 80, 80, 80)
    cut: Seen = ((120, 90, 160, 130), 0.8, "car")
    assert _read(seen(), seen(cut), region).new == ()
    at_the_frames_border: Seen = ((290, 90, 320, 130), 0.8, "car")
    assert _read(seen(), seen(at_the_frames_border), Region(240, 80, 80, 80)).new == (0,)


def test_a_second_box_on_a_found_object_is_not_refuted() -> None:
    double: Seen = ((100, 100, 140, 132), 0.3, "person")
    reading = _read(seen(CAR, double), seen(((100, 100, 140, 140), 0.9, "car")))
    assert reading.seen == ((0, 0),)
    assert reading.refuted == ()


def test_class_breaks_ties_between_boxes_that_overlap_alike() -> None:
    left: Seen = ((94, 100, 134, 140), 0.9, "person")
    right: Seen = ((106, 100, 146, 140), 0.8, "car")
    reading = _read(seen(CAR), seen(left, right))
    assert reading.seen == ((0, 1),)


def test_two_labels_of_one_object_are_one_object() -> None:
    """Heavy models too say one thing twice; what stands is the surer label."""
    reading = _read(seen(CAR), seen((CAR[0], 0.9, "person"), (CAR[0], 0.8, "car")))
    assert reading.seen == ((0, 0),)
    assert reading.new == ()
    assert reading.verdict.class_names() == ["person"]


def test_empty_meets_empty() -> None:
    reading = _read(seen(), seen())
    assert (reading.seen, reading.refuted, reading.new) == ((), (), ())


def test_a_second_box_is_told_apart_from_the_one_that_is_the_object() -> None:
    double: Seen = ((100, 100, 140, 132), 0.3, "person")
    assert _read(seen(CAR, double), seen(((100, 100, 140, 140), 0.9, "car"))).doubles == (1,)
    assert _read(seen(CAR), seen(((100, 100, 140, 140), 0.9, "car"))).doubles == ()


def _reread(
    edge: Detections, cloud: Detections, *unseen: tuple[int, int, int, int], region: Region = WHOLE
) -> tuple[object, ...]:
    reading = _read(edge, cloud, region)
    boxes = np.array(unseen, np.float32).reshape(-1, 4)
    again = reread(reading, boxes, (region,), FusionSettings())
    return again.seen, again.refuted, again.doubles


def test_an_object_that_only_verdicts_knew_is_found_again_or_gone() -> None:
    cloud = seen(((200, 50, 240, 90), 0.9, "car"))
    assert _reread(seen(), cloud, (204, 52, 244, 92)) == (((0, 0),), (), ())
    assert _reread(seen(), cloud, (20, 20, 60, 60)) == ((), (0,), ())


def test_it_stays_where_nobody_looked() -> None:
    cloud = seen(((100, 100, 140, 140), 0.9, "car"))
    region = Region(80, 80, 80, 80)
    assert _reread(seen(CAR), cloud, (200, 20, 240, 60), region=region) == ((), (), ())
    half_outside = (150, 100, 190, 140)
    assert _reread(seen(CAR), cloud, half_outside, region=region) == ((), (), ())


def test_what_the_edge_sees_itself_is_no_longer_unseen() -> None:
    cloud = seen(((100, 100, 140, 140), 0.9, "car"))
    assert _reread(seen(CAR), cloud, (102, 100, 142, 140)) == ((), (), (0,))


def test_nothing_known_is_read_again() -> None:
    assert _reread(seen(CAR), seen()) == ((), (), ())
