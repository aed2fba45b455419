"""What a pipeline does with input that no honest camera, model or cloud gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, picture, seen, verdict
from support.street import ROOM, Street, said

from secondlook.edge.fusion import belief
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections, Observation, Verdict

CAR: Seen = ((100, 100, 140, 140), 0.45, "car")
BOX = CAR[0]


@pytest.fixture(autouse=True)
def _one_vote_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belief, "EDGE_VOTE", 1.0)


def _finite(answer: Observation) -> bool:
    parts = (answer.detections, answer.candidates)
    return all(np.isfinite(a).all() for part in parts for a in (part.boxes, part.scores))


def _classes(observation: Observation) -> list[str]:
    return observation.detections.class_names()


@pytest.mark.parametrize(
    ("box", "score"), [((100, 100, math.nan, 140), 0.5), (BOX, math.nan), (BOX, math.inf)]
)
def test_numbers_that_are_none_never_reach_a_pipeline(box: tuple, score: float) -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        seen((box, score, "car"))


def test_thousands_of_boxes_are_bounded_in_answer_question_and_memory() -> None:
    street = Street(tracker={"max_boxes": 100, "max_tracks": 500})
    dice = np.random.default_rng(3)
    for _ in range(3):
        corners = dice.uniform(0, 200, (4000, 2))
        sides = dice.uniform(0, 60, (4000, 2))
        crowd = Detections.of(
            np.concatenate([corners, corners + sides], axis=1),
            dice.uniform(0.05, 0.9, 4000),
            dice.integers(0, 3, 4000),
            NAMES,
        )
        street.sequence += 1
        shown = frame(street.sequence, ROOM)
        answer = street.pipeline.answer(shown, crowd, 0.0)
        asked = street.pipeline.escalation(shown, answer)
        # The best boxes of the light model, and what the cloud has seen beside them.
        assert len(answer.detections) + len(answer.candidates) <= 100 + 500
        assert len(street.pipeline._scene.tracker.tracks) <= 500
        assert _finite(answer)
        if asked is not None:
            everywhere = [((x, x, x + 30.0, x + 30.0), 0.9, "car") for x in np.arange(0, 210, 0.5)]
            street.pipeline.apply(verdict(asked, *everywhere))
    later, _ = street.show(CAR)
    assert _finite(later)


@pytest.mark.parametrize(
    "box",
    [
        (100, 100, 100, 100),
        (-1e6, -1e6, 1e6, 1e6),
        (-50, -50, -10, -10),
        (5000, 5000, 6000, 6000),
        (100, 100, 100.001, 200),
    ],
)
def test_absurd_boxes_are_answered_and_asked_about_like_others(box: tuple) -> None:
    street = Street()
    for _ in range(3):
        answer, asked = street.show((box, 0.45, "car"))
        assert _finite(answer)
        if asked is not None:
            for region in asked.regions:
                assert region.x >= 0
                assert region.x + region.width <= 320
                assert region.y + region.height <= 240
            revised = street.pipeline.apply(verdict(asked, (box, 0.9, "car")))
            assert all(_finite(one) for one in revised)


def test_frames_that_change_their_size_midstream_forget_what_was_asked() -> None:
    street = Street()
    _, before = street.show(CAR)
    assert before is not None
    changed, whole = street.show(CAR, image=picture(640, 480))
    assert whole is not None
    assert whole.whole_frame
    # The verdict of the old size comes late: it is about pixels that are no longer there.
    assert street.pipeline.apply(verdict(before, (BOX, 0.9, "bottle"))) == []
    assert street.pipeline.counts.late_verdicts == 1
    (revised,) = street.pipeline.apply(verdict(whole, (BOX, 0.9, "person")))
    assert revised.frame == changed.frame
    assert said(revised.detections) == [("person", 0.9)]
    back, again = street.show(CAR)
    assert again is not None, "of the first size nothing is known any more"
    assert again.whole_frame
    assert _classes(back) == ["car"]


def test_a_clock_that_jumps_back_counts_as_no_time_and_verdicts_land() -> None:
    street = Street()
    first, asked = street.show(CAR, seconds=100.0)
    assert asked is not None
    for seconds in (3.0, 3.1, -50.0, -49.9):
        answer, again = street.show(CAR, seconds=seconds)
        assert answer.detections.track_ids.tolist() == first.detections.track_ids.tolist()
        assert again is None, "the question still waits"
    revised = street.pipeline.apply(verdict(asked, (BOX, 0.9, "bottle")))
    assert [one.frame.sequence for one in revised] == [1, 2, 3, 4, 5]
    later, again = street.show(CAR, seconds=-49.8)
    assert _classes(later) == ["bottle"]
    assert again is None, "the verdict has not aged by the jump"


def test_a_clock_that_jumps_ahead_gives_up_questions_and_old_frames() -> None:
    street = Street()
    _, asked = street.show(CAR, seconds=1.0)
    assert asked is not None
    answer, again = street.show(CAR, seconds=1e9)
    assert len(answer.detections) == 1
    assert again is not None, "what was asked a lifetime ago is asked again"
    assert street.pipeline.apply(verdict(asked, (BOX, 0.9, "bottle"))) == []
    assert street.pipeline.counts.late_verdicts == 1


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_number_counts_as_no_time(strange: float) -> None:
    street = Street()
    first, asked = street.show(CAR, seconds=5.0)
    assert asked is not None
    odd, _ = street.show(CAR, seconds=strange)
    assert odd.detections.track_ids.tolist() == first.detections.track_ids.tolist()
    revised = street.pipeline.apply(verdict(asked, (BOX, 0.9, "bottle")))
    assert len(revised) == 2
    later, _ = street.show(CAR, seconds=5.2)
    assert _classes(later) == ["bottle"]
    assert _finite(later)


def test_verdicts_nobody_asked_for_change_nothing() -> None:
    street = Street()
    _, asked = street.show(CAR)
    assert asked is not None
    stray = Verdict(
        "somebody-else", "gate", 1, asked.regions, seen((BOX, 0.9, "bottle")), "heavy", "1",
        asked.purpose,
    )  # fmt: skip
    assert street.pipeline.apply(stray) == []
    assert street.pipeline.counts.late_verdicts == 1
    assert street.pipeline.waiting == 1, "the question itself still waits"
    later, _ = street.show(CAR)
    assert _classes(later) == ["car"]


def test_a_verdict_that_comes_twice_is_taken_in_once() -> None:
    street = Street()
    _, asked = street.show(CAR)
    assert asked is not None
    assert len(street.pipeline.apply(verdict(asked, (BOX, 0.9, "bottle")))) == 1
    assert street.pipeline.apply(verdict(asked, (BOX, 0.9, "person"))) == []
    assert street.pipeline.counts.late_verdicts == 1


def test_verdicts_that_contradict_each_other_each_stand_for_their_frame() -> None:
    """On later frames the newest stands; what it denies is gone, what it sees again is back."""
    street = Street(audit_rate=1.0, fusion={"look_back_s": 0.0})
    outcomes: list[list[str]] = []
    saying: list[list[Seen]] = [[(BOX, 0.9, "bottle")], [], [(BOX, 0.9, "person")], []]
    for boxes in saying:
        _, asked = street.show(CAR)
        assert asked is not None
        street.pipeline.apply(verdict(asked, *boxes))
        now, unanswered = street.show(CAR)
        assert unanswered is not None
        street.pipeline.asked_failed(unanswered)
        outcomes.append(_classes(now))
    assert outcomes == [["bottle"], [], ["person"], []]
    ids = {track.id for track in street.pipeline._scene.tracker.tracks}
    assert len(ids) == 1, "it is the same object all along"


def test_a_verdict_that_contradicts_itself_names_one_object_once() -> None:
    street = Street()
    _, asked = street.show(CAR)
    assert asked is not None
    (revised,) = street.pipeline.apply(
        verdict(asked, (BOX, 0.9, "bottle"), (BOX, 0.8, "person"), (BOX, 0.7, "car"))
    )
    assert len(revised.detections) == 1


def test_a_flood_of_new_class_names_is_bounded() -> None:
    street = Street(audit_rate=1.0)
    for step in range(3):
        _, asked = street.show(CAR)
        assert asked is not None
        names = tuple(f"thing-{step}-{number}" for number in range(3000))
        street.pipeline.apply(
            verdict(
                asked,
                *(((x := 2.0 * (n % 150), 0.0, x + 20, 20.0), 0.9, names[n]) for n in range(3000)),
                names=names,
            )
        )
    answer, _ = street.show(CAR)
    assert len(street.pipeline.names) <= 4096
    assert _finite(answer)
