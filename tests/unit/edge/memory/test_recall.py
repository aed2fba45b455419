"""What one pipeline has learned, the next one knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, picture, seen, textured, verdict
from support.gate import plain_risk, plain_settings

from secondlook.edge.fusion import belief
from secondlook.edge.gate import RiskModel, cold_start
from secondlook.edge.memory.notes import Note, Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock
from secondlook.shared.memory.kinds import FalsePositive, GateState, ScenePrior, TrackVerdict
from secondlook.shared.values import Detections, Escalation, Observation, Purpose

CAR: Seen = ((100, 100, 140, 140), 0.45, "car")
ROOM = textured()
NOTHING = Recollection()
AGING: dict[str, dict[str, object]] = {
    "gate": {"threshold": 0.03, "again_factor": 1.0, "background_every_s": 5000.0},
    "memory": {"false_positive_after_s": 1.0},
}
"""Verdicts are doubted soon, and places are known for false positives after a second."""
CHANGED = ROOM.copy()
CHANGED[90:150, 90:150] = textured(seed=9)[90:150, 90:150]


@pytest.fixture(autouse=True)
def _one_vote_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a vote of the light model weighs is tuned; here it weighs as much as a verdict."""
    monkeypatch.setattr(belief, "EDGE_VOTE", 1.0)


class Life:
    """One life of a camera's process: ten frames a second from a wall clock time on."""

    def __init__(
        self,
        known: Recollection | None = NOTHING,
        *,
        at_s: float = 0.0,
        session: str = "one",
        risk: RiskModel | None = None,
        **sections: Any,
    ) -> None:
        self.pipeline = CameraPipeline(
            "gate",
            plain_settings(**sections),
            NAMES,
            ManualClock(),
            session=session,
            risk=risk or plain_risk(),
            known=known,
        )
        self.sequence = -1
        self._at_s = at_s
        self.asked: list[Escalation] = []
        self.notes: list[Note] = []

    def show(self, *boxes: Seen, image: np.ndarray = ROOM) -> Observation:
        """The next frame; its question is answered by `judge`, at once."""
        self.sequence += 1
        shown = frame(self.sequence, image)
        ref = replace(shown.ref, captured_at=1_700_000_000 + self._at_s + self.sequence / 10)
        shown = replace(shown, ref=ref)
        answer = self.pipeline.answer(shown, seen(*boxes), 0.0, media_s=self.sequence / 10)
        escalation = self.pipeline.escalation(shown, answer)
        if escalation is not None:
            self.asked.append(escalation)
            self.pipeline.apply(verdict(escalation, *self.judge(escalation)))
        self.notes += self.pipeline.take_notes()
        return answer

    def judge(self, asked: Escalation) -> list[Seen]:
        """The cloud knows that the car is a bottle."""
        return [(CAR[0], 0.9, "bottle")]

    def end(self) -> Recollection:
        """What the process leaves behind."""
        self.notes += self.pipeline.take_notes(last=True)
        return recollection(self.notes)


class NothingThere(Life):
    """The cloud sees no car."""

    def judge(self, asked: Escalation) -> list[Seen]:
        return []


def recollection(notes: list[Note]) -> Recollection:
    """As the store would give them back."""
    known: dict[type, dict[str, Note]] = {}
    for note in notes:
        of_kind = known.setdefault(note.kind, {})
        earlier = of_kind.pop(note.key, None)
        of_kind[note.key] = note if earlier is None else note.after(earlier)
    values = {
        kind: {
            key: kind.of(note.value.document())
            for key, note in of_kind.items()
            if note.value is not None
        }
        for kind, of_kind in known.items()
    }
    return Recollection(
        values.get(TrackVerdict, {}),
        values.get(FalsePositive, {}),
        values.get(GateState, {}),
        values.get(ScenePrior, {}),
    )


def _said(detections: Detections) -> list[tuple[str, float]]:
    return [
        (name, round(float(score), 2))
        for name, score in zip(detections.class_names(), detections.scores, strict=True)
    ]


def _lived(life: Life, seconds: float = 3.0) -> Recollection:
    for _ in range(int(seconds * 10)):
        life.show(CAR)
    return life.end()


def test_a_fresh_verdict_is_known_after_a_restart_and_not_asked_again() -> None:
    known = _lived(Life())
    again = Life(known, at_s=3.1, session="two")
    answer = again.show(CAR)
    assert answer.detections.class_names() == ["bottle"]
    assert again.asked == [], "neither the box nor the background"


def test_without_a_memory_nothing_is_noted_and_everything_is_asked_again() -> None:
    life = Life(known=None)
    _lived(life)
    assert life.notes == []
    again = Life(known=None, at_s=4.0)
    again.show(CAR)
    assert [asked.whole_frame for asked in again.asked] == [True]


def test_answers_without_a_memory_are_those_of_an_empty_one() -> None:
    def run(known: Recollection | None) -> list[object]:
        life = Life(known)
        return [(_said(life.show(CAR).detections), life.pipeline.waiting) for _ in range(30)] + [
            asked.image for asked in life.asked
        ]

    assert run(None) == run(NOTHING)


def test_an_aged_verdict_still_stands_for_its_place_but_is_asked_again_at_once() -> None:
    known = _lived(Life(gate={"background_every_s": 5000.0}))
    again = Life(known, at_s=300.0, session="two", gate={"background_every_s": 5000.0})
    answer = again.show(CAR)
    assert answer.detections.class_names() == ["bottle"]
    assert [asked.purpose for asked in again.asked] == [Purpose.REFRESH]
    # The verdict was confirmed: it holds for longer than a first one.
    again.notes.clear()
    for _ in range(25):
        again.show(CAR)
    (note,) = [note for note in again.notes if note.kind is TrackVerdict]
    assert isinstance(note.value, TrackVerdict)
    (before,) = known.verdicts.values()
    assert note.value.confirmations == before.confirmations + 1
    assert note.key in known.verdicts, "the record of the same object goes on"


def test_a_verdict_that_is_too_old_is_not_used() -> None:
    known = _lived(Life())
    again = Life(known, at_s=700.0, session="two", gate={"background_every_s": 5000.0})
    assert _said(again.show(CAR).detections) == [("car", 0.45)]


def test_a_place_that_looks_different_is_asked_about() -> None:
    known = _lived(Life())
    again = Life(known, at_s=3.0, session="two")
    assert _said(again.show(CAR, image=CHANGED).detections) == [("car", 0.45)]
    assert len(again.asked) == 1


def test_frames_of_another_size_know_nothing() -> None:
    known = _lived(Life())
    again = Life(known, at_s=3.0, session="two")
    answer = again.show(CAR, image=picture(640, 480))
    assert _said(answer.detections) == [("car", 0.45)]
    assert [asked.whole_frame for asked in again.asked] == [True]


def test_the_background_of_another_size_that_came_later_is_the_one_the_cloud_has() -> None:
    known = _lived(Life())
    later = max(state.background_at_s or 0 for state in known.gates.values()) + 1
    known.gates["640x480"] = GateState(background_at_s=later)
    again = Life(known, at_s=3.0, session="two")
    again.show(CAR)
    assert [asked.whole_frame for asked in again.asked] == [True]


def test_a_record_from_the_future_is_not_believed() -> None:
    known = _lived(Life())
    earlier = Life(known, at_s=-100.0, session="two")
    assert _said(earlier.show(CAR).detections) == [("car", 0.45)]
    assert [asked.whole_frame for asked in earlier.asked] == [True]


def test_what_moves_on_is_not_remembered() -> None:
    life = Life()
    x1, y1, x2, y2 = CAR[0]
    for step in range(20):
        moved: Seen = ((x1 + 6 * step, y1, x2 + 6 * step, y2), 0.45, "car")
        life.judge = lambda _, box=moved[0]: [(box, 0.9, "bottle")]  # type: ignore[method-assign,misc]
        life.show(moved)
    known = life.end()
    assert len(life.asked) >= 1
    assert known.verdicts == {}


def test_a_place_refuted_again_and_again_is_a_known_false_positive_for_long() -> None:
    life = NothingThere(**AGING)
    known = _lived(life, 5.0)
    asked = len(life.asked)
    (known_as,) = known.false_positives.values()
    assert 3 <= known_as.seen == asked, "the whole frame and those that confirm it"
    for _ in range(50):
        life.show(CAR)
    assert len(life.asked) == asked, "then it is known"
    assert known_as.edge_class == "car"
    again = NothingThere(known, at_s=1000.0, session="two", **AGING)
    for _ in range(50):
        assert len(again.show(CAR).detections) == 0
    assert again.asked == []


def test_the_cold_start_too_lets_a_known_false_positive_be() -> None:
    """However soon its rule doubts what was refuted."""
    rule: dict[str, Any] = {**AGING, "risk": cold_start()}
    life = NothingThere(**rule)
    known = _lived(life, 5.0)
    assert len(known.false_positives) == 1
    again = NothingThere(known, at_s=1000.0, session="two", **rule)
    for _ in range(50):
        assert len(again.show(CAR).detections) == 0
    assert again.asked == []


def test_refuted_in_quick_succession_is_no_known_false_positive() -> None:
    """Frames of one moment say the same thing: they confirm nothing."""
    life = NothingThere(audit_rate=1.0, memory={"false_positive_after_s": 4.0})
    assert _lived(life, 3.0).false_positives == {}
    assert len(life.asked) == 30
    assert len(_lived(life, 2.0).false_positives) == 1


def test_a_false_positive_is_forgotten_when_the_cloud_sees_something_there_after_all() -> None:
    known = _lived(NothingThere(**AGING), 5.0)
    again = Life(known, at_s=6000.0, session="two", **AGING)
    again.show(CAR)
    assert [asked.whole_frame for asked in again.asked] == [True], "the background is too old"
    again.notes += again.pipeline.take_notes()
    (removed,) = [note for note in again.notes if note.kind is FalsePositive]
    assert removed.value is None
    assert removed.key in known.false_positives
    assert again.show(CAR).detections.class_names() == ["bottle"]


def test_a_false_positive_whose_box_is_surer_or_looks_different_is_asked_about() -> None:
    known = _lived(NothingThere(**AGING), 5.0)
    surer = NothingThere(known, at_s=9.0, session="two", **AGING)
    risen: Seen = (CAR[0], 0.7, "car")
    surer.show(risen)
    assert len(surer.asked) == 1
    changed = NothingThere(known, at_s=9.0, session="two", **AGING)
    assert len(changed.show(CAR, image=CHANGED).detections) == 1
    assert len(changed.asked) == 1


def test_the_scene_prior_says_where_a_class_is_seen_and_goes_on_after_a_restart() -> None:
    gate = {"background_every_s": 5000.0}
    life = Life(gate=gate)
    known = _lived(life, 12.0)
    (prior,) = known.priors.values()
    assert prior.frames == 120
    assert sum(prior.counts["bottle"]) >= 118
    again = Life(known, at_s=20.0, session="two", gate=gate)
    for _ in range(30):
        again.show(CAR)
    news = recollection(again.notes + again.pipeline.take_notes(last=True))
    (added,) = news.priors.values()
    assert added.frames == 30, "increments, not totals"


def test_what_was_counted_is_written_down_now_and_then() -> None:
    life = Life(memory={"prior_every_s": 1.0})
    for _ in range(35):
        life.show(CAR)
    assert sum(note.kind is ScenePrior for note in life.notes) == 3
    states = [note.value for note in life.notes if isinstance(note.value, GateState)]
    assert sum(state.asked for state in states) == len(life.asked)


def test_the_gate_counts_what_audits_find() -> None:
    life = Life(audit_rate=1.0)
    life.judge = lambda _: [((10, 10, 60, 80), 0.9, "person")]  # type: ignore[method-assign]
    for _ in range(4):
        life.show()
    (state,) = life.end().gates.values()
    assert (state.asked, state.answered, state.audits) == (4, 4, 3), "the first is the background"
    assert state.missed >= 1
    assert state.background_at_s == pytest.approx(1_700_000_000.3)


def test_a_place_that_does_not_fit_a_record_is_not_noted_and_nothing_breaks() -> None:
    life = Life(motion={"width_px": 640})
    everywhere: Seen = ((0, 0, 320, 240), 0.45, "car")
    life.judge = lambda _: [(everywhere[0], 0.9, "bottle")]  # type: ignore[method-assign]
    for _ in range(20):
        life.show(everywhere)
    assert life.end().verdicts == {}
