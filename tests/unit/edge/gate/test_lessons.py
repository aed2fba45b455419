"""What a risk model learns from, gathered frame by frame."""

from __future__ import annotations

import numpy as np
from support.edge import NAMES, Seen, frame, seen, textured

from secondlook.edge.appearance import thumbnail
from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate.lessons import GAPS_S, PAIRS, Lessons, Teacher
from secondlook.edge.gate.risk import VERIFIED
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.measure import Metric

ROOM = textured()
CAR: Seen = ((100, 100, 140, 140), 0.6, "car")
GHOST: Seen = ((20, 20, 60, 80), 0.4, "person")
HEAVY: Seen = ((101, 100, 141, 140), 0.9, "car")


def _taught(
    frames: list[tuple[list[Seen], list[Seen]]],
    *,
    classes: tuple[str, ...] | None = NAMES,
    seed: int = 0,
    step_s: float = 0.1,
) -> Lessons:
    teacher = Teacher(PipelineSettings(), NAMES, Metric(classes=classes), seed)
    for number, (light, heavy) in enumerate(frames):
        shown = frame(number, ROOM)
        look = thumbnail(shown.image, 160)
        teacher.see(seen(*light), seen(*heavy), look, shown.ref, number * step_s)
    return teacher.lessons


def test_boxes_are_held_against_the_heavy_models() -> None:
    lessons = _taught([([CAR, GHOST], [HEAVY])])
    assert len(lessons) == 2
    assert lessons.present == [1.0, 0.0]
    assert lessons.same_class == [1.0, 0.0]
    assert [row.shape for row in lessons.sights] == [(len(SIGHT),)] * 2
    assert lessons.confirmed == []
    assert lessons.refuted == [], "there was no earlier verdict"


def test_another_class_is_an_object_with_a_wrong_class() -> None:
    lessons = _taught([([CAR], [(HEAVY[0], 0.9, "bottle")])])
    assert lessons.present == [1.0]
    assert lessons.same_class == [0.0]


def test_one_object_is_the_strongest_boxs_alone() -> None:
    # Not overlapping enough to be one cluster, both overlapping the object by half.
    lower: Seen = ((100, 114, 140, 154), 0.5, "car")
    lessons = _taught([([CAR, lower], [((100, 107, 140, 147), 0.9, "car")])])
    assert lessons.present == [1.0, 0.0]


def test_verdicts_of_earlier_frames_are_tried_on_later_ones() -> None:
    lessons = _taught([([CAR, GHOST], [HEAVY])] * 4)
    assert len(lessons) == 8
    # 0, 1, 2 and 3 earlier frames each.
    assert len(lessons.confirmed) == len(lessons.refuted) == 1 + 2 + 3
    assert lessons.stands == [1.0] * 6
    assert lessons.returned == [0.0] * 6
    ages = sorted(
        round(float(np.expm1(row[len(SIGHT) + CHANGE.index("age")])), 3)
        for row in lessons.confirmed
    )
    assert ages == [0.1, 0.1, 0.1, 0.2, 0.2, 0.3]
    assert {row.shape for row in lessons.confirmed + lessons.refuted} == {(len(VERIFIED),)}


def test_an_object_that_leaves_and_one_that_comes_contradict_their_verdicts() -> None:
    lessons = _taught([([CAR, GHOST], [HEAVY]), ([CAR, GHOST], [(GHOST[0], 0.8, "person")])])
    assert lessons.stands == [0.0]
    assert lessons.returned == [1.0]


def test_a_verdict_carries_its_class_and_its_box() -> None:
    bottle: Seen = ((100, 100, 140, 148), 0.9, "bottle")
    weak: Seen = (CAR[0], 0.15, "car")
    lessons = _taught([([weak], [bottle])] * 2)
    assert lessons.stands == [1.0], "what the cloud said, not what the light model says"


def test_classes_of_no_interest_teach_nothing() -> None:
    lessons = _taught([([CAR, GHOST], [HEAVY])] * 3, classes=("car",))
    assert len(lessons) == 3
    assert lessons.present == [1.0] * 3
    assert lessons.refuted == []


def test_old_verdicts_are_not_tried_and_only_a_few_on_each_box() -> None:
    lessons = _taught([([CAR], [HEAVY])] * 30, step_s=1.0)
    ages = [np.expm1(row[len(SIGHT) + CHANGE.index("age")]) for row in lessons.confirmed]
    assert max(ages) <= GAPS_S[1] + 1.0 + 1e-6
    assert len(lessons.confirmed) <= PAIRS * 30


def test_equal_seeds_give_equal_lessons() -> None:
    film = [([CAR, GHOST], [HEAVY])] * 12
    one, same, other = _taught(film), _taught(film), _taught(film, seed=5)
    np.testing.assert_array_equal(one.confirmed, same.confirmed)
    assert one.present == same.present
    assert not np.array_equal(one.confirmed, other.confirmed)
    np.testing.assert_array_equal(one.sights, other.sights)


def test_empty_frames_and_unknown_classes_are_no_trouble() -> None:
    teacher = Teacher(PipelineSettings(), NAMES, Metric(classes=None))
    shown = frame(0, ROOM)
    look = thumbnail(shown.image, 160)
    strange = seen((CAR[0], 0.9, "tram"), names=("tram",))
    teacher.see(seen(), seen(), look, shown.ref, 0.0)
    teacher.see(seen(CAR), strange, look, shown.ref, 0.1)
    teacher.see(seen(), strange, look, shown.ref, 0.2)
    assert teacher.lessons.present == [0.0], "a class that the light model lacks is no lesson"
    assert teacher.lessons.same_class == [0.0]
