"""Signs of objects that the light model missed."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, seen, textured, verdict

from secondlook.edge.appearance import thumbnail
from secondlook.edge.evidence.blobs import Blobs
from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.edge.evidence.misses import Coasting, Misses, Signs, Usual, empty_places
from secondlook.edge.evidence.view import View
from secondlook.edge.memory.notes import Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.clock import ManualClock
from secondlook.shared.memory.kinds import ScenePrior
from secondlook.shared.values import Escalation, Observation

WIDTH, HEIGHT = 640, 360
NOTHING = np.empty((0, 4), np.float32)
ROOM = textured(WIDTH, HEIGHT) // 4 + 96
OFF = {"blob_loss": 0, "coasting_loss": 0, "prior_loss": 0, "view_loss": 0, "view_gain": 0}


def _with_thing(at: int, *, level: int = 250) -> np.ndarray:
    """The room with a bright thing of 60 x 60 pixels."""
    image = ROOM.copy()
    image[150:210, at : at + 60] = level
    return image


def _signs(
    misses: Misses,
    n: int,
    image: np.ndarray = ROOM,
    *,
    covered: np.ndarray = NOTHING,
    coasting: tuple[Coasting, ...] = (),
    usual: Usual | None = None,
) -> Signs:
    look = thumbnail(image, 160)
    return misses.see(look, frame(n, image).ref, n / 10, covered, NOTHING, coasting, usual)


def _only(**settings: object) -> MissSettings:
    return MissSettings.model_validate({**OFF, **settings})


def test_a_quiet_scene_gives_no_signs() -> None:
    misses = Misses(MissSettings(), 5.0)
    noise = np.random.default_rng(1)
    for n in range(60):
        image = np.clip(ROOM + noise.normal(0, 4, ROOM.shape), 0, 255).astype(np.uint8)
        assert _signs(misses, n, image).suspects == ()


def test_what_moves_without_a_box_is_a_sign_from_the_third_frame_on() -> None:
    misses = Misses(_only(blob_loss=0.2), 5.0)
    for n in range(10):
        assert _signs(misses, n).suspects == ()
    found = [_signs(misses, 10 + n, _with_thing(100 + 12 * n)).suspects for n in range(5)]
    assert [len(suspects) for suspects in found] == [0, 0, 1, 1, 1]
    assert {suspects[0].key for suspects in found[2:]} == {found[2][0].key}
    np.testing.assert_allclose(found[2][0].box, (124, 150, 184, 210), atol=12)
    assert found[2][0].loss == 0.2
    assert "no box covers it for 3 frames" in found[2][0].reason


def test_a_box_or_a_small_size_explains_what_moves() -> None:
    misses = Misses(_only(blob_loss=0.2), 5.0)
    small = Misses(_only(blob_loss=0.2, blob_area=0.05), 5.0)
    for n in range(20):
        at = 100 + 8 * n
        box = np.array([[at, 150, at + 60, 210]], np.float32)
        image = _with_thing(at) if n >= 10 else ROOM
        assert _signs(misses, n, image, covered=box).suspects == ()
        assert _signs(small, n, image).suspects == ()


def test_a_change_of_light_is_no_object() -> None:
    blobs = Blobs(MissSettings())
    for n in range(30):
        look = thumbnail(ROOM if n < 10 else ROOM + 60, 160)
        assert blobs.see(look, NOTHING, n / 10) == []


def test_what_stays_becomes_background() -> None:
    misses = Misses(_only(blob_loss=0.2, background_s=1.0), 5.0)
    counts = [
        len(_signs(misses, n, ROOM if n < 30 else _with_thing(100)).suspects) for n in range(120)
    ]
    assert counts[35] == 1
    assert counts[-1] == 0


def test_a_sign_that_a_verdict_looked_into_in_vain_is_left_alone() -> None:
    misses = Misses(_only(blob_loss=0.2, quiet_s=1.0, background_s=1000), 5.0)
    asked = []
    whole = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    for n in range(300):
        image = ROOM if n < 20 else _with_thing(100 + 60 * (n % 2))
        found = _signs(misses, n, image)
        if found.suspects:
            asked.append(n)
            misses.answered(found.suspects, thumbnail(image, 160), n / 10, whole, NOTHING)
    # It goes back and forth, and never looks as it did: the pauses double.
    assert len(asked) <= 6
    pauses = np.diff(asked)
    assert list(pauses[1:] >= pauses[:-1]) == [True] * (len(pauses) - 1)
    assert pauses[-1] >= 4 * pauses[0]


def test_a_place_that_looks_the_same_is_not_asked_about_again() -> None:
    misses = Misses(_only(blob_loss=0.2, quiet_s=0.2, background_s=1000), 5.0)
    whole = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    asked = 0
    for n in range(300):
        image = ROOM if n < 20 else _with_thing(100)
        found = _signs(misses, n, image)
        if found.suspects:
            asked += 1
            misses.answered(found.suspects, thumbnail(image, 160), n / 10, whole, NOTHING)
    assert asked == 1


def test_a_sign_where_an_object_was_found_is_believed_again_soon() -> None:
    misses = Misses(_only(blob_loss=0.2, again_s=1.0), 5.0)
    whole = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    for n in range(10):
        _signs(misses, n)
    asked = []
    for n in range(10, 40):
        image = _with_thing(10 * n)
        found = _signs(misses, n, image)
        if found.suspects:
            asked.append(n)
            thing = np.array([[10 * n, 150, 10 * n + 60, 210]], np.float32)
            misses.answered(found.suspects, thumbnail(image, 160), n / 10, whole, thing)
    assert asked == [12, 22, 32]


def test_a_verdict_about_another_place_says_nothing() -> None:
    misses = Misses(_only(coasting_loss=0.3), 5.0)
    lost = Coasting(7, np.array([100, 100, 200, 200], np.float32), 1.0)
    first = _signs(misses, 0, coasting=(lost,))
    elsewhere = np.array([[300, 0, 400, 100]], np.float32)
    misses.answered(first.suspects, thumbnail(ROOM, 160), 0.0, elsewhere, NOTHING)
    assert len(_signs(misses, 1, coasting=(lost,)).suspects) == 1


def test_a_coasting_track_says_less_with_each_frame() -> None:
    misses = Misses(_only(coasting_loss=0.3, coasting_frames=3), 5.0)
    lost = Coasting(7, np.array([100, 100, 200, 200], np.float32), 0.8)
    losses = [[s.loss for s in _signs(misses, n, coasting=(lost,)).suspects] for n in range(5)]
    assert losses == [[pytest.approx(0.24)], [pytest.approx(0.16)], [pytest.approx(0.08)], [], []]
    # It was seen meanwhile: the count begins again.
    _signs(misses, 5)
    assert _signs(misses, 6, coasting=(lost,)).suspects[0].loss == pytest.approx(0.24)


def test_a_track_whose_place_another_box_has_taken_is_not_lost() -> None:
    misses = Misses(_only(coasting_loss=0.3), 5.0)
    lost = Coasting(7, np.array([100, 100, 200, 200], np.float32), 0.8)
    over = np.array([[90, 90, 180, 210]], np.float32)
    assert _signs(misses, 0, coasting=(lost,), covered=over).suspects == ()
    outside = Coasting(8, np.array([-90, -90, -5, -5], np.float32), 0.8)
    assert _signs(misses, 1, coasting=(outside,)).suspects == ()


def test_an_empty_place_is_a_sign_only_where_objects_are_lacking() -> None:
    shares = np.zeros((9, 16))
    shares[4, 8] = 0.9
    shares[2, 2] = 0.6
    settings, at = MissSettings(), frame(0, ROOM).ref
    here = np.array([[330, 165, 350, 190]], np.float32)
    there = np.array([[600, 300, 620, 320]], np.float32)
    assert empty_places(Usual(shares), here, here, at, settings) == []
    # One is lacking in the mean frame of 1.5 objects: the likelier place is asked about.
    (lost,) = empty_places(Usual(shares), NOTHING, there, at, settings)
    assert lost.key == "cell 8,4"
    assert lost.loss == pytest.approx(0.2 * 0.9)
    np.testing.assert_allclose(lost.box, (280, 120, 400, 240))
    assert empty_places(Usual(shares), NOTHING, here, at, settings)[0].key == "cell 2,2"
    assert empty_places(Usual(shares * 0.5), NOTHING, NOTHING, at, settings) == []


def test_dark_and_blurred_pictures_raise_doubt() -> None:
    view = View(MissSettings())
    sharp = thumbnail(textured(WIDTH, HEIGHT), 160)
    for n in range(60):
        assert view.see(sharp, n / 10).doubt == 0
    flat = np.full_like(sharp, 128)
    blurred = view.see(flat, 6.0)
    assert blurred.doubt == 1
    assert "blurred" in blurred.reason
    assert view.see(sharp, 6.1).doubt == 0
    dark = view.see(sharp // 16, 6.2)
    assert "dark" in dark.reason or "blurred" in dark.reason
    black = View(MissSettings()).see(np.zeros_like(sharp), 0.0)
    assert black.doubt == 1
    assert "dark" in black.reason


def test_a_view_without_a_picture_is_asked_about_whole_and_once() -> None:
    misses = Misses(_only(view_loss=0.2), 5.0)
    black = np.zeros_like(ROOM)
    (whole,) = _signs(misses, 0, black).suspects
    np.testing.assert_allclose(whole.box, (0, 0, WIDTH, HEIGHT))
    assert whole.loss == pytest.approx(0.2)
    frame_box = whole.box[None]
    misses.answered((whole,), thumbnail(black, 160), 0.0, frame_box, NOTHING)
    assert all(_signs(misses, n, black).suspects == () for n in range(1, 1200))


class Street:
    """A pipeline whose light model sees what it is told."""

    def __init__(self, *boxes: Seen, known: Recollection | None = None, **misses: object) -> None:
        settings = PipelineSettings.model_validate({"misses": misses})
        self.pipeline = CameraPipeline(
            "gate", settings, NAMES, ManualClock(), session="s", known=known
        )
        self.sequence = -1
        _, asked = self.show(*boxes)
        assert asked is not None
        self.pipeline.apply(verdict(asked))

    def show(self, *boxes: Seen, image: np.ndarray = ROOM) -> tuple[Observation, Escalation | None]:
        self.sequence += 1
        shown = frame(self.sequence, image)
        answer = self.pipeline.answer(shown, seen(*boxes), 0.0)
        return answer, self.pipeline.escalation(shown, answer)


def test_an_object_that_the_light_model_never_sees_is_found_through_a_blob() -> None:
    street = Street()
    for _ in range(10):
        assert street.show()[1] is None
    answers, questions = [], []
    for n in range(3):
        answer, asked = street.show(image=_with_thing(100 + 12 * n))
        answers.append(answer)
        questions.append(asked)
    assert questions[:2] == [None, None]
    asked = questions[2]
    assert asked is not None
    assert not asked.whole_frame
    assert "moves" in asked.regions[0].reason
    # While the question waits nothing is asked twice.
    assert street.show(image=_with_thing(136))[1] is None
    (first, *_) = street.pipeline.apply(verdict(asked, ((124, 150, 184, 210), 0.9, "person")))
    assert first.frame.sequence == answers[2].frame.sequence
    assert first.detections.class_names() == ["person"]


def test_a_blob_that_is_nothing_is_asked_about_once() -> None:
    street = Street()
    for _ in range(10):
        street.show()
    asked = []
    for n in range(30):
        _, question = street.show(image=_with_thing(100 + 6 * n))
        if question is not None:
            asked.append(question)
            assert street.pipeline.apply(verdict(question)) == []
    assert len(asked) == 1


def test_a_question_that_is_lost_leaves_the_sign_open() -> None:
    street = Street()
    for _ in range(10):
        street.show()
    asked = [street.show(image=_with_thing(100 + 6 * n))[1] for n in range(3)][-1]
    assert asked is not None
    street.pipeline.asked_failed(asked)
    assert street.show(image=_with_thing(118))[1] is not None


def test_signs_can_be_switched_off() -> None:
    street = Street(**OFF)
    for n in range(20):
        assert street.show(image=_with_thing(100 + 6 * n))[1] is None


def test_a_track_that_loses_its_box_is_asked_about_once() -> None:
    car: Seen = ((300, 100, 360, 150), 0.97, "car")
    street = Street(blob_loss=0, coasting_loss=0.4)
    for _ in range(12):
        _, asked = street.show(car)
        if asked is not None:
            street.pipeline.apply(verdict(asked, car))
    questions = [question for _ in range(10) if (question := street.show()[1]) is not None]
    assert len(questions) <= 1


def test_the_scene_prior_finds_an_empty_place() -> None:
    counts = [0] * 144
    counts[4 * 16 + 8] = 190
    prior = ScenePrior(columns=16, rows=9, frames=200, counts={"person": tuple(counts)})
    usual = Recollection(priors={f"{WIDTH}x{HEIGHT}": prior})
    both = ScenePrior(
        columns=16, rows=9, frames=200, counts={"person": tuple(counts), "car": tuple(counts)}
    )
    crowded = Recollection(priors={f"{WIDTH}x{HEIGHT}": both})
    # The first frame, of which the cloud is shown everything, has a box there.
    box: Seen = ((330, 170, 350, 190), 0.97, "person")
    assert Street(box, known=usual).show()[1] is None
    asked = Street(box, known=crowded).show()[1]
    assert asked is not None
    assert "of the frames show an object here" in asked.regions[0].reason


def test_places_have_no_name_and_no_track() -> None:
    street = Street()
    for _ in range(10):
        street.show()
    asked = [street.show(image=_with_thing(100 + 12 * n))[1] for n in range(3)][-1]
    assert asked is not None
    answer, _ = street.show(image=_with_thing(136))
    assert len(answer.detections) == 0
    assert len(answer.candidates) == 0
