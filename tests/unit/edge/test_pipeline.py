"""One camera from boxes to answers, and from verdicts to revisions."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import NAMES, Seen, picture, textured, verdict
from support.street import ROOM, Street, said

from secondlook.edge.fusion import belief
from secondlook.shared.values import Purpose

CAR: Seen = ((100, 100, 140, 140), 0.45, "car")
SURE: Seen = ((20, 20, 80, 90), 0.95, "person")


@pytest.fixture(autouse=True)
def _one_vote_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a vote of the light model weighs is tuned; here it weighs as much as a verdict."""
    monkeypatch.setattr(belief, "EDGE_VOTE", 1.0)


def test_the_first_frame_is_sent_whole() -> None:
    answer, asked = Street(background=False).show(SURE)
    assert asked is not None
    assert asked.whole_frame
    assert asked.purpose is Purpose.UNSURE
    assert answer.decision is not None
    assert "no whole frame" in answer.decision.reasons[0]
    assert said(answer.detections) == [("person", 0.95)]


def test_the_whole_frame_is_sent_again_where_it_did_not_arrive() -> None:
    street = Street(background=False)
    _, asked = street.show()
    _, waiting = street.show()
    assert asked is not None
    assert waiting is None
    street.pipeline.asked_failed(asked)
    _, again = street.show()
    assert again is not None
    assert again.whole_frame


def test_an_unsure_box_is_asked_once_while_the_question_waits() -> None:
    street = Street()
    answer, asked = street.show(CAR, SURE)
    assert asked is not None
    assert len(asked.placements) == 1
    x1, y1, x2, y2 = asked.placements[0].region.xyxy
    assert x1 <= 100
    assert y1 <= 100
    assert x2 >= 140
    assert y2 >= 140
    assert answer.revision == 0
    assert street.pipeline.waiting == 1
    assert street.show(CAR, SURE)[1] is None
    street.pipeline.asked_failed(asked)
    assert street.pipeline.waiting == 0
    assert street.show(CAR, SURE)[1] is not None


def test_request_ids_differ_and_name_the_frame() -> None:
    street = Street()
    asked = street.show(CAR)[1]
    assert asked is not None
    assert asked.request_id == "s-1"


def test_a_track_that_ends_on_next_to_nothing_is_not_vouched_for() -> None:
    street = Street()
    _, asked = street.show(CAR)
    assert asked is not None
    street.pipeline.apply(verdict(asked, (*CAR[:1], 0.9, "car")), 5.0)
    (x1, y1, x2, y2), score, name = CAR
    # The car has left; a faint box on the background continues its track.
    faint, _ = street.show(((x1 + 3, y1, x2 + 3, y2), score * 0.2, name))
    assert said(faint.detections) == []
    gone, _ = street.show()
    assert all(box.tolist()[0] != x1 + 3 for box in gone.detections.boxes)


def test_a_verdict_lands_on_its_frame_and_is_carried_to_now() -> None:
    street = Street()
    first, asked = street.show(CAR)
    street.show(((103, 100, 143, 140), 0.45, "car"))
    street.show(((106, 100, 146, 140), 0.45, "car"))
    assert asked is not None
    heavy: Seen = ((98, 99, 141, 142), 0.9, "bottle")
    revised = street.pipeline.apply(verdict(asked, heavy), 5.0)
    assert [one.frame.sequence for one in revised] == [1, 2, 3]
    assert said(revised[0].detections) == [("bottle", 0.9)]
    assert [one.detections.class_names() for one in revised] == [["bottle"]] * 3
    assert all(one.revision == 1 and one.cause == asked.request_id for one in revised)
    assert revised[0].published_s == 5.0
    np.testing.assert_allclose(revised[0].detections.boxes[0], heavy[0])
    # What the verdict put right in the box stays right as it moves on.
    np.testing.assert_allclose(revised[2].detections.boxes[0], (104, 99, 147, 142))
    track = first.detections.track_ids[0]
    assert all(one.detections.track_ids.tolist() == [track] for one in revised)
    later, again = street.show(((109, 100, 149, 140), 0.4, "car"))
    assert later.detections.class_names() == ["bottle"]
    assert later.detections.scores[0] > first.detections.scores[0]
    assert later.detections.track_ids.tolist() == [track]
    assert again is None


def test_a_weak_box_that_the_cloud_confirms_is_published() -> None:
    street = Street()
    weak: Seen = ((100, 100, 140, 140), 0.22, "car")
    answer, asked = street.show(weak)
    assert len(answer.detections) == 0
    assert len(answer.candidates) == 1
    assert asked is not None
    (revised,) = street.pipeline.apply(verdict(asked, ((100, 100, 140, 140), 0.7, "car")))
    assert said(revised.detections) == [("car", 0.7)]


def test_a_refuted_box_stays_away_while_its_place_looks_the_same() -> None:
    street = Street()
    answer, asked = street.show(CAR)
    assert len(answer.detections) == 1
    assert asked is not None
    (revised,) = street.pipeline.apply(verdict(asked))
    assert len(revised.detections) == 0
    later, again = street.show(CAR)
    assert len(later.detections) == 0
    assert again is None
    somebody_came = ROOM.copy()
    somebody_came[90:150, 90:150] = textured(seed=9)[90:150, 90:150]
    changed, asked_again = street.show(CAR, image=somebody_came)
    assert len(changed.detections) == 1
    assert asked_again is not None


def test_a_refuted_place_is_remembered_after_its_track_has_died() -> None:
    street = Street(tracker={"coast_s": 0.0, "confirm_hits": 1})
    _, asked = street.show(CAR)
    assert asked is not None
    street.pipeline.apply(verdict(asked))
    for _ in range(3):
        street.show()
    back, again = street.show(CAR)
    assert len(back.detections) == 0
    assert again is None


def test_an_object_that_only_the_cloud_sees_is_published_while_nothing_changes() -> None:
    street = Street(background=False)
    _, asked = street.show()
    assert asked is not None
    found: Seen = ((200, 100, 240, 160), 0.8, "person")
    (revised,) = street.pipeline.apply(verdict(asked, found))
    assert said(revised.detections) == [("person", 0.8)]
    later, _ = street.show()
    assert said(later.detections) == [("person", 0.8)]
    assert later.detections.track_ids.tolist() == revised.detections.track_ids.tolist()
    left = ROOM.copy()
    left[90:170, 190:250] = textured(seed=5)[90:170, 190:250]
    gone, _ = street.show(image=left)
    assert len(gone.detections) == 0


def test_an_object_that_only_the_cloud_saw_goes_when_it_is_seen_no_more() -> None:
    street = Street(audit_rate=1.0)
    _, first = street.show()
    _, second = street.show()
    assert first is not None
    assert second is not None
    street.pipeline.apply(verdict(first, ((200, 100, 240, 160), 0.8, "person")))
    revised = street.pipeline.apply(verdict(second))
    # Each frame has what the verdict nearest to it says.
    assert [(one.frame.sequence, said(one.detections)) for one in revised] == [(2, [])]
    later, _ = street.show()
    assert said(later.detections) == []


def test_an_object_that_only_the_cloud_sees_keeps_its_track_when_it_moves() -> None:
    street = Street(audit_rate=1.0)
    _, first = street.show()
    _, second = street.show()
    assert first is not None
    assert second is not None
    (known, _) = street.pipeline.apply(verdict(first, ((200, 100, 240, 160), 0.8, "person")))
    moved: Seen = ((206, 100, 246, 160), 0.7, "person")
    (revised,) = street.pipeline.apply(verdict(second, moved))
    assert said(revised.detections) == [("person", 0.7)]
    np.testing.assert_allclose(revised.detections.boxes[0], moved[0])
    assert revised.detections.track_ids.tolist() == known.detections.track_ids.tolist()


def test_a_second_box_on_what_the_cloud_sees_once_is_not_published() -> None:
    street = Street(audit_rate=1.0)
    double: Seen = ((100, 100, 140, 121), 0.9, "car")
    answer, asked = street.show(SURE, ((100, 100, 140, 140), 0.9, "car"), double)
    assert len(answer.detections) == 3
    assert asked is not None
    revised = street.pipeline.apply(verdict(asked, SURE, ((100, 100, 140, 140), 0.9, "car")))
    assert len(revised[0].detections) == 2


def test_a_late_verdict_about_a_new_object_reaches_now() -> None:
    street = Street(background=False)
    _, asked = street.show()
    for _ in range(3):
        street.show()
    assert asked is not None
    revised = street.pipeline.apply(verdict(asked, ((200, 100, 240, 160), 0.8, "person")))
    assert [one.frame.sequence for one in revised] == [0, 1, 2, 3]
    ids = {int(one.detections.track_ids[0]) for one in revised}
    assert len(ids) == 1
    seen_at_last, _ = street.show(((200, 101, 240, 161), 0.5, "person"))
    assert seen_at_last.detections.track_ids.tolist() == list(ids)


def test_a_new_object_that_the_edge_found_meanwhile_keeps_the_edges_track() -> None:
    street = Street(background=False)
    _, asked = street.show()
    box = (200, 100, 240, 160)
    edge, _ = street.show((box, 0.5, "car"))
    assert asked is not None
    revised = street.pipeline.apply(verdict(asked, (box, 0.8, "person")))
    assert [said(one.detections)[0][0] for one in revised] == ["person", "person"]
    assert revised[0].detections.track_ids.tolist() == edge.detections.track_ids.tolist()


def test_verdicts_out_of_order_do_not_undo_newer_ones() -> None:
    street = Street(audit_rate=1.0)
    _, first = street.show(CAR)
    _, second = street.show(CAR)
    street.show(CAR)
    assert first is not None
    assert second is not None
    revised = street.pipeline.apply(verdict(second, (CAR[0], 0.9, "bottle")))
    assert [one.frame.sequence for one in revised] == [1, 2, 3]
    revised = street.pipeline.apply(verdict(first, (CAR[0], 0.9, "person")))
    assert [one.frame.sequence for one in revised] == [1], "it is about that frame alone by now"
    assert said(revised[0].detections) == [("person", 0.9)]
    now, _ = street.show(CAR)
    assert now.detections.class_names() == ["bottle"]


def test_a_verdict_corrects_the_answers_just_before_its_frame_too() -> None:
    street = Street(fusion={"look_back_s": 0.15}, gate={"threshold": 0.4})
    for _ in range(3):
        assert street.show((CAR[0], 0.38, "car"))[1] is None
    answer, asked = street.show((CAR[0], 0.7, "car"))
    assert asked is None, "sure enough"
    _, asked = street.show((CAR[0], 0.45, "car"))
    assert asked is not None
    revised = street.pipeline.apply(verdict(asked))
    assert [one.frame.sequence for one in revised] == [4, 5]
    assert revised[0].frame == answer.frame
    assert len(revised[0].detections) == 0


def test_between_two_verdicts_a_box_lies_between_theirs() -> None:
    street = Street(audit_rate=1.0)
    asked = [street.show(((100 + 3 * n, 100, 140 + 3 * n, 140), 0.6, "car"))[1] for n in range(5)]
    assert asked[0] is not None
    assert asked[4] is not None
    street.pipeline.apply(verdict(asked[0], ((100, 96, 144, 140), 0.9, "car")))
    revised = street.pipeline.apply(verdict(asked[4], ((116, 104, 160, 148), 0.9, "car")))
    at = {one.frame.sequence: one.detections.boxes[0] for one in revised}
    np.testing.assert_allclose(at[3], (108, 100, 152, 144))
    np.testing.assert_allclose(at[5], (116, 104, 160, 148))


def test_a_line_between_verdicts_that_misses_the_edges_box_is_not_taken() -> None:
    street = Street(audit_rate=1.0)
    places = (100, 112, 124, 112, 100)  # there and back
    asked = [street.show(((x, 100, x + 40, 140), 0.6, "car"))[1] for x in places]
    assert asked[0] is not None
    assert asked[4] is not None
    box = ((100, 100, 140, 140), 0.9, "car")
    last = {}
    for question in (asked[0], asked[4]):
        for one in street.pipeline.apply(verdict(question, box)):
            last[one.frame.sequence] = one.detections.boxes[0]
    np.testing.assert_allclose(last[3], (124, 100, 164, 140))


def test_a_verdict_that_ages_is_refreshed_and_confirmed_it_holds_longer() -> None:
    street = Street()
    _, asked = street.show(CAR, seconds=1.0)
    assert asked is not None
    street.pipeline.apply(verdict(asked, (CAR[0], 0.9, "car")))
    assert street.show(CAR, seconds=1.5)[1] is None
    _, again = street.show(CAR, seconds=3.0)
    assert again is not None
    assert again.purpose is Purpose.REFRESH
    street.pipeline.apply(verdict(again, (CAR[0], 0.9, "car")))
    assert street.show(CAR, seconds=5.0)[1] is None
    assert street.show(CAR, seconds=9.0)[1] is not None


def test_one_box_is_not_asked_about_too_often() -> None:
    street = Street(gate={"again_s": 1.0})
    _, asked = street.show(CAR, seconds=1.0)
    assert asked is not None
    street.pipeline.apply(verdict(asked, (CAR[0], 0.9, "car")))
    faint: Seen = (CAR[0], 0.2, "car")
    assert street.show(faint, seconds=1.5)[1] is None, "fallen, but just asked"
    assert street.show(faint, seconds=2.1)[1] is not None


def test_verdicts_about_unknown_frames_change_nothing() -> None:
    street = Street(fusion={"history_frames": 3})
    _, asked = street.show(CAR)
    assert asked is not None
    for _ in range(5):
        street.show(SURE)
    assert street.pipeline.apply(verdict(asked, (CAR[0], 0.9, "car"))) == []
    assert street.pipeline.apply(verdict(asked, (CAR[0], 0.9, "car"))) == []
    assert street.pipeline.counts.late_verdicts == 2


def test_a_verdict_of_another_camera_is_not_taken_in() -> None:
    street = Street()
    _, asked = street.show(CAR)
    assert asked is not None
    stray = verdict(asked, (CAR[0], 0.9, "bottle"))
    object.__setattr__(stray, "camera", "other")
    assert street.pipeline.apply(stray) == []


def test_a_verdict_that_says_the_same_revises_nothing_twice() -> None:
    street = Street(audit_rate=1.0)
    _, asked = street.show(CAR)
    assert asked is not None
    assert len(street.pipeline.apply(verdict(asked))) == 1
    _, again = street.show(CAR)
    assert again is not None
    assert street.pipeline.apply(verdict(again)) == []


def test_classes_that_only_the_cloud_knows_are_published_by_name() -> None:
    street = Street()
    answer, asked = street.show(CAR)
    assert asked is not None
    (revised,) = street.pipeline.apply(
        verdict(asked, (CAR[0], 0.9, "tram"), names=("tram", "ship"))
    )
    assert said(revised.detections) == [("tram", 0.9)]
    assert street.pipeline.names == (*NAMES, "tram")
    assert answer.detections.names == NAMES


def test_a_change_of_frame_size_starts_the_scene_again() -> None:
    street = Street()
    before, _ = street.show(CAR)
    after, asked = street.show(CAR, image=picture(640, 360))
    assert asked is not None
    assert asked.whole_frame
    assert (asked.frame_width, asked.frame_height) == (640, 360)
    assert not set(after.detections.track_ids) & set(before.detections.track_ids)


def test_a_stream_that_starts_over_does_not_go_back_in_time() -> None:
    street = Street()
    first, asked = street.show(SURE, seconds=50.0)
    again, _ = street.show(SURE, seconds=0.0)
    assert asked is None
    assert again.detections.track_ids.tolist() == first.detections.track_ids.tolist()


def test_an_audit_is_a_whole_frame_whatever_is_seen() -> None:
    street = Street(audit_rate=1.0)
    answer, asked = street.show()
    assert asked is not None
    assert asked.purpose is Purpose.AUDIT
    assert asked.whole_frame
    assert answer.decision is not None
    assert "audit: coin" in answer.decision.reasons[0]


def test_a_picture_beyond_its_limit_is_not_sent() -> None:
    street = Street(background=False, gate={"max_bytes": 2000})
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    answer, asked = street.show(CAR, image=noise)
    assert asked is None
    assert answer.decision is not None
    assert answer.decision.escalate
    assert len(answer.detections) == 1
    assert street.pipeline.counts.unencodable == 1
    assert street.pipeline.waiting == 0


def test_two_runs_over_the_same_frames_are_equal() -> None:
    def run() -> list[tuple[list[tuple[str, float]], bytes | None]]:
        street, out = Street(), []
        for step in range(12):
            moved: Seen = ((100.0 + 3 * step, 100, 140.0 + 3 * step, 140), 0.45, "car")
            answer, asked = street.show(moved, SURE)
            if asked is not None and step % 2:
                street.pipeline.apply(verdict(asked, (moved[0], 0.8, "bottle")))
            out.append((said(answer.detections), None if asked is None else asked.image))
        return out

    assert run() == run()


@pytest.mark.parametrize("count", [0, 300])
def test_empty_and_crowded_frames_are_answered(count: int) -> None:
    street = Street()
    boxes: list[Seen] = [
        ((x := (i % 20) * 16.0, y := (i // 20) * 16.0, x + 12, y + 12), 0.5, "car")
        for i in range(count)
    ]
    answer, asked = street.show(*boxes)
    assert len(answer.detections) == min(count, 100)
    assert (asked is not None) is (count > 0)
