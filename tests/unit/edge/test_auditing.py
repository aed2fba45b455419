"""Audits of a pipeline: each is scored before it changes anything, and each comes to an end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, seen, textured, verdict
from support.gate import plain_risk, plain_settings

from secondlook.edge.control import Allowance
from secondlook.edge.control.allowance import Infeasible
from secondlook.edge.gate import Choice, FrameEvidence, Terms
from secondlook.edge.memory.notes import Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import DeadlineExceeded
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.trust import Basis, TrustKeeper, TrustSettings, TrustState
from secondlook.shared.values import Escalation, Observation, Purpose

ROOM = textured()
CAR: Seen = ((100, 100, 140, 140), 0.95, "car")
UNSURE: Seen = ((20, 20, 60, 60), 0.3, "person")
NEVER: dict[str, Any] = {"audit_rate": 0.0001, "seed": 1}
"""A coin that chooses none of the first frames."""
QUICK: dict[str, Any] = {"audit_rate": 0.9, "window_frames": 100, "alpha": 0.1}
"""A promise that ten seconds can prove."""


class ScriptedKeeper(TrustKeeper):
    """A keeper that also takes down what it is told."""

    def __init__(self, settings: TrustSettings) -> None:
        super().__init__("default/gate", settings, Basis("cold-start", "heavy", "1"))
        self.told: list[tuple[Any, ...]] = []

    def frame(self, sequence: int, at_s: float, *, probability: float, audited: bool) -> None:
        super().frame(sequence, at_s, probability=probability, audited=audited)
        self.told.append(("frame", sequence, probability, audited))

    def outcome(self, sequence: int, lowest_risk: float) -> bool:
        self.told.append(("outcome", sequence, round(lowest_risk, 2)))
        return super().outcome(sequence, lowest_risk)

    def lost(self, sequence: int, reason: str) -> bool:
        self.told.append(("lost", sequence, reason))
        return super().lost(sequence, reason)

    def excuse(self, sequence: int) -> bool:
        found = super().excuse(sequence)
        self.told.append(("excused", sequence, found))
        return found

    def ends(self) -> dict[int, str]:
        """How each look ended."""
        return {
            said[1]: said[0]
            for said in self.told
            if said[0] in {"outcome", "lost"} or (said[0] == "excused" and said[2])
        }


class Watch:
    """A pipeline with a scripted keeper, and the frames it is shown."""

    def __init__(
        self, *, known: Recollection | None = None, scripted: bool = True, **sections: Any
    ) -> None:
        trust = {"audit_rate": 1.0, **sections.pop("trust", {})}
        settings = plain_settings(audit_rate=trust["audit_rate"], trust=trust, **sections)
        self.keeper = ScriptedKeeper(settings.trust)
        self.clock = ManualClock()
        self.pipeline = CameraPipeline(
            "gate",
            settings,
            NAMES,
            self.clock,
            session="s",
            risk=plain_risk(),
            known=known,
            keeper=self.keeper if scripted else None,
        )
        self.sequence = -1

    def show(
        self, *boxes: Seen, image: np.ndarray = ROOM, ask: bool = True, **more: Any
    ) -> tuple[Observation, Escalation | None]:
        self.sequence += 1
        shown = frame(self.sequence, image)
        answer = self.pipeline.answer(shown, seen(*boxes), 0.0, **more)
        return answer, self.pipeline.escalation(shown, answer) if ask else None


def test_what_goes_whole_in_any_case_is_known_and_the_rest_is_chosen_by_the_coin() -> None:
    watch = Watch(trust={"audit_rate": 0.5, "seed": 3})
    purposes = []
    for _ in range(20):
        answer, asked = watch.show(CAR)
        assert answer.decision is not None
        purposes.append(answer.decision.purpose if asked else None)
        if asked is not None:
            watch.pipeline.apply(verdict(asked, CAR))
    told = [said for said in watch.keeper.told if said[0] == "frame"]
    assert told[0] == ("frame", 0, 1.0, True), "the cloud's background"
    assert {said[2] for said in told[1:]} == {0.5}
    audited = [said[1] for said in told[1:] if said[3]]
    assert audited == [n for n in range(1, 20) if purposes[n] is Purpose.AUDIT]
    assert 0 < len(audited) < 19
    assert watch.keeper.ends() == dict.fromkeys([0, *audited], "outcome")


def test_an_audit_is_scored_on_what_would_have_stood_without_it() -> None:
    watch = Watch()
    _, asked = watch.show(CAR)
    assert asked is not None
    watch.pipeline.apply(verdict(asked, CAR))
    missed: Seen = ((200, 40, 260, 120), 0.9, "person")
    answer, asked = watch.show(CAR)
    assert asked is not None
    (revised, *_) = watch.pipeline.apply(verdict(asked, CAR, missed))
    assert len(answer.detections) == 1
    assert len(revised.detections) == 2
    # Nothing on the frame showed the person: no threshold would have found them.
    assert ("outcome", 1, 0.0) in watch.keeper.told
    # Now the person is known, and the next audit misses nothing.
    _, asked = watch.show(CAR)
    assert asked is not None
    watch.pipeline.apply(verdict(asked, CAR, missed))
    assert ("outcome", 2, math.inf) in watch.keeper.told


def test_a_missed_object_has_the_risk_of_the_candidate_that_shows_it() -> None:
    watch = Watch()
    _, asked = watch.show(UNSURE)
    assert asked is not None
    watch.pipeline.apply(verdict(asked, (UNSURE[0], 0.9, "person")))
    (said,) = (said for said in watch.keeper.told if said[0] == "outcome")
    assert 0.12 < said[2] < 1.0, "the gate would have asked about it"


def test_objects_that_do_not_count_are_not_missed() -> None:
    watch = Watch(gate={"classes": ("car",)})
    _, asked = watch.show(CAR)
    assert asked is not None
    faint: Seen = ((200, 40, 260, 120), 0.1, "car")
    watch.pipeline.apply(verdict(asked, CAR, ((20, 20, 60, 60), 0.9, "bottle"), faint))
    assert ("outcome", 0, math.inf) in watch.keeper.told


def test_each_look_ends_also_where_it_is_never_sent_fails_or_is_about_a_part() -> None:
    watch = Watch()
    _, background = watch.show()
    assert background is not None
    watch.pipeline.apply(verdict(background))
    watch.show(ask=False)
    _, failed = watch.show()
    assert failed is not None
    watch.pipeline.asked_failed(failed, DeadlineExceeded("too late"))
    _, cut = watch.show()
    assert cut is not None
    part = replace(verdict(cut).regions[0], width=100)
    watch.pipeline.apply(replace(verdict(cut), regions=(part,)))
    _, open_ = watch.show()
    assert open_ is not None
    watch.pipeline.take_notes(last=True)
    assert watch.keeper.ends() == {0: "outcome", 1: "lost", 2: "lost", 3: "lost", 4: "lost"}
    reasons = [said[2] for said in watch.keeper.told if said[0] == "lost"]
    assert reasons == [
        "it was not sent",
        "DeadlineExceeded: too late",
        "the verdict is about a part of the frame",
        "it waited too long for a verdict",
    ]
    news = watch.pipeline.take_trust()
    assert (news.lost, news.outcomes) == (4, [False])
    # What ended is not counted twice.
    watch.pipeline.apply(verdict(open_))
    assert watch.keeper.ends()[4] == "lost"


def test_an_audit_waits_for_so_long_and_no_longer() -> None:
    watch = Watch(trust={"wait_s": 30.0})
    _, asked = watch.show()
    assert asked is not None
    watch.clock.advance(20.0)
    watch.show()
    assert 0 not in watch.keeper.ends()
    watch.clock.advance(20.0)
    watch.show()
    assert watch.keeper.ends()[0] == "lost"


def test_a_verdict_counts_after_the_history_has_gone_on_and_the_frames_have_changed_size() -> None:
    watch = Watch(fusion={"history_frames": 2, "max_questions": 2})
    _, asked = watch.show(CAR)
    assert asked is not None
    for _ in range(5):
        watch.show(CAR)
    watch.show(CAR, image=textured(160, 120))
    assert watch.pipeline.apply(verdict(asked, CAR)) == []
    assert watch.keeper.ends()[0] == "outcome"
    assert watch.pipeline.counts.late_verdicts == 1


def test_a_background_that_failed_is_excused_unless_the_coin_had_chosen_it_too() -> None:
    for trust, end in ((NEVER, "excused"), ({"audit_rate": 0.9999, "seed": 1}, "lost")):
        watch = Watch(trust=trust)
        watch.show(ask=False)
        watch.show(ask=False)
        assert watch.keeper.told[0] == ("frame", 0, 1.0, True)
        assert watch.keeper.ends() == {0: end}


def test_another_model_or_version_is_told_before_its_verdict_counts() -> None:
    watch = Watch()
    _, asked = watch.show()
    assert asked is not None
    watch.pipeline.apply(replace(verdict(asked), version="2"))
    assert watch.keeper.basis == Basis("cold-start", "heavy", "2")
    _, record = watch.keeper.take_windows()[0]
    assert "model version was 1, is 2" in record.spoilt


def test_an_outage_and_a_short_budget_reach_the_keeper_once() -> None:
    watch = Watch(trust=NEVER)
    watch.show()
    for _ in range(3):
        watch.show(away="the cloud cannot be reached")
    assert watch.pipeline.take_trust().status.state is TrustState.UNCERTIFIED  # type: ignore[union-attr]
    short = Allowance(slo=Infeasible("bytes", 5000.0, 1000.0))
    for _ in range(3):
        watch.show(allowance=short)
    news = watch.pipeline.take_trust()
    assert news.status is not None
    assert news.status.state is TrustState.SLO_INFEASIBLE
    assert "5,000 bytes/s needed" in news.status.reasons[0]
    watch.show()
    (change,) = watch.pipeline.take_trust().changes
    assert change.after is TrustState.UNCERTIFIED


def test_a_threshold_is_enforced_only_where_that_is_wanted() -> None:
    for enforce, expected in ((True, 0.0), (False, math.inf)):
        watch = Watch(trust={**NEVER, "enforce": enforce, "without": "send_all"})
        watch.show()
        answer, asked = watch.show(UNSURE, (((150, 20, 190, 60), 0.97, "car")))
        assert asked is not None
        assert answer.decision is not None
        demanded = any("sending everything" in why for why in answer.decision.reasons)
        assert demanded is (expected == 0.0)
        watch.clock.advance(1.0)
        watch.show(UNSURE)
        rates = watch.pipeline.take_trust().demand
        assert all((rate > 0) is enforce for rate in rates)


def test_without_audits_there_is_nothing_to_keep() -> None:
    settings = plain_settings(audit_rate=0.0)
    pipeline = CameraPipeline("gate", settings, NAMES, ManualClock(), known=Recollection())
    shown = frame(0, ROOM)
    answer = pipeline.answer(shown, seen(CAR))
    asked = pipeline.escalation(shown, answer)
    assert asked is not None
    pipeline.apply(verdict(asked, CAR))
    assert pipeline.take_trust().status is None
    assert [note for note in pipeline.take_notes(last=True) if note.kind is TrustWindow] == []


def _windows(pipeline: CameraPipeline, *, last: bool = False) -> dict[str, TrustWindow]:
    found = {}
    for note in pipeline.take_notes(last=last):
        if note.kind is TrustWindow:
            assert isinstance(note.value, TrustWindow)
            found[note.key] = note.value
    return found


def test_a_window_that_an_outage_spoilt_is_written_down_before_its_audits_come() -> None:
    watch = Watch(known=Recollection(), scripted=False, trust={"audit_rate": 0.9, "seed": 3})
    asked = [watch.show()[1] for _ in range(20)]
    _windows(watch.pipeline)
    watch.show(away="the cable is cut")
    (record,) = _windows(watch.pipeline).values()
    assert record.spoilt == "the cable is cut", "at once, not when a minute is over"
    watch.show()
    spoilt, filling = sorted(_windows(watch.pipeline).values(), key=lambda one: one.started_s)
    assert (spoilt.spoilt, spoilt.ended_s) == ("the cable is cut", None), "audits are awaited"
    assert (filling.spoilt, filling.frames) == ("", 1)
    for one in asked:
        if one is not None:
            watch.pipeline.apply(verdict(one))
    spoilt, _ = sorted(_windows(watch.pipeline, last=True).values(), key=lambda one: one.started_s)
    assert spoilt.spoilt == "the cable is cut"
    assert spoilt.audits > 5


def _certified(settings: dict[str, Any]) -> dict[str, TrustWindow]:
    watch = Watch(known=Recollection(), scripted=False, trust=settings)
    for _ in range(115):
        _, asked = watch.show()
        if asked is not None:
            watch.pipeline.apply(verdict(asked))
    status = watch.pipeline.take_trust().status
    assert status is not None
    assert status.state is TrustState.CERTIFIED
    return _windows(watch.pipeline, last=True)


@pytest.fixture(scope="module")
def lived() -> dict[str, TrustWindow]:
    """What a camera wrote down that was certified."""
    return _certified(QUICK)


def test_windows_are_written_down_and_a_restart_goes_on(lived: dict[str, TrustWindow]) -> None:
    assert len(lived) == 2, "one that was judged, and the one that fills"
    ended, filling = sorted(lived.values(), key=lambda window: window.started_s)
    assert (ended.frames, ended.model, ended.gate) == (100, "heavy", "cold-start")
    assert ended.certified_tau is not None
    assert ended.certified_tau > 0
    assert filling.ended_s is None
    assert not filling.spoilt, "the end of the process is no fault of it"
    known = Recollection(trust=lived)
    clock_s = filling.at_s + 10.0
    for gate, expected in (("cold-start", TrustState.CERTIFIED), ("other", TrustState.LEARNING)):
        clock = ManualClock()
        clock.advance(clock_s - clock.wall())
        pipeline = CameraPipeline(
            "gate",
            plain_settings(trust=QUICK),
            NAMES,
            clock,
            known=known,
            fingerprint=gate,
        )
        status = pipeline.take_trust().status
        assert status is not None
        assert status.state is expected


def test_what_the_site_has_certified_is_adopted(lived: dict[str, TrustWindow]) -> None:
    (ended,) = (window for window in lived.values() if window.ended_s is not None)
    of_site = ended.model_copy(update={"cameras": ("default/gate", "default/yard")})
    of_others = ended.model_copy(update={"cameras": ("default/yard", "default/road")})
    for window, expected in ((of_site, TrustState.CERTIFIED), (of_others, TrustState.LEARNING)):
        watch = Watch(known=Recollection(), scripted=False, trust=QUICK)
        _, asked = watch.show()
        assert asked is not None
        watch.pipeline.apply(verdict(asked))
        watch.pipeline.adopt({"w": window})
        status = watch.pipeline.take_trust().status
        assert status is not None
        assert status.state is expected


class WholeFrames:
    """A gate that sends whole what the coin passes over."""

    def choose(self, frame: FrameEvidence, terms: Terms) -> Choice:
        purpose = Purpose.AUDIT if terms.coin < terms.audit_rate else Purpose.UNSURE
        return Choice(whole_frame=True, purpose=purpose, coin=terms.coin)


def test_a_frame_that_goes_whole_because_the_coin_passed_it_over_is_no_known_one() -> None:
    watch = Watch(trust={"audit_rate": 0.3, "seed": 2})
    watch.pipeline._decider._gate = WholeFrames()
    for _ in range(20):
        _, asked = watch.show(UNSURE)
        assert asked is not None
        watch.pipeline.apply(verdict(asked, UNSURE))
    told = [said for said in watch.keeper.told if said[0] == "frame"]
    assert {said[2] for said in told} == {0.3}
    audited = [said[1] for said in told if said[3]]
    assert 0 < len(audited) < 20
    assert watch.keeper.ends() == dict.fromkeys(audited, "outcome")
