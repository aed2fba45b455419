"""Classes that are not to be recognised are made so on the pixels, before any encoding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, seen, verdict

from secondlook.edge.decisions import DecisionSettings, PictureRecord, Recorder, SentRecord
from secondlook.edge.fusion import Entry
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings, PrivacySettings
from secondlook.edge.privacy import Veil
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Escalation, Observation, Purpose

PERSON: Seen = ((100, 80, 140, 180), 0.3, "person")
CAR: Seen = ((200, 80, 280, 140), 0.3, "car")
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)


class Watched:
    """A pipeline that blurs, and what it sends, decoded."""

    def __init__(
        self, *, classes: tuple[str, ...] = ("person",), patches: int = 4, audit: float = 0.0,
        pictures: str = "none", encoding: str = "webp",
    ) -> None:  # fmt: skip
        settings = PipelineSettings.model_validate(
            {
                "trust": {"audit_rate": audit},
                "regions": {"encoding": encoding, "quality": 100, "full_quality": 100},
                "privacy": {"blur_classes": classes, "blur_patches": patches},
            }
        )
        log = DecisionSettings.model_validate({"pictures": pictures, "picture_every_s": 0})
        self.recorder = Recorder(log, settings, None)
        self.pipeline = CameraPipeline(
            "gate", settings, NAMES, ManualClock(), session="s", recorder=self.recorder
        )
        self.sequence = -1

    def show(self, *boxes: Seen, image: np.ndarray = NOISE) -> Escalation | None:
        self.sequence += 1
        shown = frame(self.sequence, image)
        answer = self.pipeline.answer(shown, seen(*boxes))
        return self.pipeline.escalation(shown, answer)


def picture(asked: Escalation) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(asked.image, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found


def detail(image: np.ndarray, box: tuple[float, ...]) -> float:
    """How much neighbouring pixels differ inside of a box, grey levels."""
    left, top, right, bottom = (int(value) for value in box)
    place = image[top:bottom, left:right].astype(np.float64)
    return float(np.abs(np.diff(place, axis=1)).mean())


def test_a_whole_frame_leaves_with_nobody_to_recognise() -> None:
    watched = Watched()
    asked = watched.show(PERSON, CAR)
    assert asked is not None
    assert asked.whole_frame
    sent = picture(asked)
    assert detail(NOISE, PERSON[0]) > 60
    assert detail(sent, PERSON[0]) < 15
    assert detail(sent, CAR[0]) > 30
    (said,) = (one for one in watched.recorder.take() if isinstance(one, SentRecord))
    assert said.blurred > 0


def test_a_person_counts_once_and_a_frame_is_blurred_once() -> None:
    veil = Veil(PrivacySettings(blur_classes=("person",)))
    tracked = seen(PERSON, CAR).with_track_ids(np.array([1, 2]))
    draft = Observation(frame(3, NOISE).ref, seen())
    entry = Entry(draft.frame, 0.0, NOISE[..., 0], tracked, np.empty((2, 0)), [], {}, draft)
    veil.see(seen(PERSON, CAR), entry)
    first, count = veil.over(NOISE, 3)
    assert count == 1
    assert veil.over(NOISE, 3)[0] is first
    assert veil.over(NOISE, 4)[0] is not first


def test_what_remains_of_a_person_is_a_few_patches() -> None:
    watched = Watched(patches=1, encoding="webp")
    asked = watched.show(PERSON)
    assert asked is not None
    left, top, right, bottom = (int(value) for value in PERSON[0])
    place = picture(asked)[top + 4 : bottom - 4, left + 4 : right - 4].astype(np.float64)
    assert place.std(axis=(0, 1)).max() < 12, "one colour, but for the codec"


def test_two_persons_who_differ_leave_the_same_picture() -> None:
    """What is not sent cannot be recovered: only the means of the patches depend on the person."""
    other = NOISE.copy()
    left, top, right, bottom = (int(value) for value in PERSON[0])
    # Swap pixels inside each patch's area: the means stay, the person is another one.
    other[top:bottom, left:right] = other[top:bottom, left:right][::-1, ::-1]
    both = []
    for image in (NOISE, other):
        asked = Watched(patches=1).show(PERSON, image=image)
        assert asked is not None
        both.append(picture(asked).astype(np.int64))
    inside = np.s_[top:bottom, left:right]
    assert np.abs(both[0][inside] - both[1][inside]).mean() < 2
    assert np.abs(NOISE[inside].astype(np.int64) - other[inside]).mean() > 50


def test_regions_are_blurred_too_and_the_frame_stays_as_it_is() -> None:
    watched = Watched()
    image = NOISE.copy()
    first = watched.show(image=image)
    assert first is not None
    watched.pipeline.apply(verdict(first))
    asked = watched.show(PERSON, CAR, image=image)
    assert asked is not None
    assert not asked.whole_frame
    sent = picture(asked)
    for place in asked.placements:
        x, y = place.x - place.region.x, place.y - place.region.y
        for (x1, y1, x2, y2), _, name in (PERSON, CAR):
            region = place.region.xyxy
            if region[0] <= x1 and region[1] <= y1 and region[2] >= x2 and region[3] >= y2:
                found = detail(sent, (x1 + x, y1 + y, x2 + x, y2 + y))
                assert (found < 15) is (name == "person")
    np.testing.assert_array_equal(image, NOISE)


def test_an_audit_is_blurred_like_all_else() -> None:
    watched = Watched(audit=1.0)
    for _ in range(2):
        asked = watched.show(PERSON)
        assert asked is not None
        assert detail(picture(asked), PERSON[0]) < 15
    assert asked.purpose is Purpose.AUDIT


def test_a_box_as_weak_as_they_come_is_blurred() -> None:
    asked = Watched().show((PERSON[0], 0.05, "person"))
    assert asked is not None
    assert detail(picture(asked), PERSON[0]) < 15


def test_a_person_whom_another_box_hides_is_blurred() -> None:
    """Suppression keeps the stronger of two boxes: the weaker one is a person all the same."""
    asked = Watched().show((PERSON[0], 0.2, "person"), (PERSON[0], 0.9, "car"))
    assert asked is not None
    assert detail(picture(asked), PERSON[0]) < 15


def test_what_a_verdict_called_a_person_is_blurred_from_then_on() -> None:
    watched = Watched()
    unknown: Seen = (PERSON[0], 0.3, "bottle")
    first = watched.show(unknown)
    assert first is not None
    watched.pipeline.apply(verdict(first, (PERSON[0], 0.9, "person")))
    watched.pipeline._scene.background_s = None  # the whole frame is wanted again
    asked = watched.show(unknown)
    assert asked is not None
    assert detail(picture(asked), PERSON[0]) < 15


def test_pictures_that_stay_on_the_site_are_blurred() -> None:
    watched = Watched(pictures="sent")
    assert watched.show(PERSON) is not None
    kept = [one for one in watched.recorder.take() if isinstance(one, PictureRecord)]
    assert {one.kind for one in kept} == {"thumbnail", "sent"}
    small = next(one.data for one in kept if one.kind == "thumbnail")
    assert isinstance(small, np.ndarray)
    assert detail(small, PERSON[0]) < 20


def test_of_a_frame_that_was_never_answered_nothing_can_be_recognised() -> None:
    watched = Watched()
    assert watched.show(CAR) is not None
    shown = frame(0, NOISE)
    answer = watched.pipeline.answer(shown, seen(CAR))
    image, blurred = watched.pipeline._veil.over(NOISE, 99)  # type: ignore[union-attr]
    assert answer.frame.sequence == 0
    assert blurred == 1
    assert detail(image, (0, 0, 320, 240)) < 5


def test_without_classes_nothing_is_copied() -> None:
    watched = Watched(classes=())
    asked = watched.show(PERSON)
    assert asked is not None
    assert detail(picture(asked), PERSON[0]) > 30
    assert watched.pipeline._veil is None


@pytest.mark.parametrize("box", [(-20, -20, 10, 10), (310, 230, 400, 300), (5, 5, 5, 5)])
def test_boxes_at_and_beyond_the_border_are_no_trouble(box: tuple[float, ...]) -> None:
    left, top, right, bottom = box
    assert Watched().show(((left, top, right, bottom), 0.5, "person")) is not None
