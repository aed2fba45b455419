"""What a verdict said, for how long, and what several say together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secondlook.edge.fusion import Belief
from secondlook.edge.fusion import belief as belief_module
from secondlook.edge.fusion.belief import holds_for_s
from secondlook.edge.pipeline_settings import GateSettings

PERSON, CAR, BOTTLE = 0, 1, 2
SETTINGS = GateSettings(ttl_s=4.0, ttl_growth=2.0, ttl_max_s=20.0)


@pytest.fixture(autouse=True)
def _one_vote_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belief_module, "EDGE_VOTE", 1.0)


def _said(at_s: float, class_index: int = CAR, score: float = 0.8, **given: object) -> Belief:
    said = Belief(
        at_s=at_s,
        until_s=at_s,
        refuted=False,
        class_index=class_index,
        score=score,
        box=np.array([0, 0, 10, 20], np.float32),
        look=np.zeros((4, 4), np.uint8),
        edge_class=CAR,
        edge_score=0.4,
        confirmations=0,
        request_id="r",
    )
    return replace(said, **given)


def _refuted(at_s: float) -> Belief:
    return _said(at_s, score=0.0, refuted=True)


def _after(*said: Belief) -> Belief:
    before = None
    for one in said:
        before = one.after(before, SETTINGS)
    assert before is not None
    return before


def test_confirmed_it_holds_longer_and_contradicted_it_begins_anew() -> None:
    first = _after(_said(10.0))
    assert (first.confirmations, first.since_s, first.until_s) == (0, 10.0, 14.0)
    again = _after(_said(10.0), _said(13.0))
    assert (again.confirmations, again.since_s, again.until_s) == (1, 10.0, 21.0)
    other = _after(_said(10.0), _said(13.0, BOTTLE))
    assert (other.confirmations, other.since_s, other.until_s) == (0, 13.0, 17.0)
    gone = _after(_said(10.0), _refuted(13.0), _refuted(15.0))
    assert (gone.confirmations, gone.since_s) == (1, 13.0)


def test_the_time_it_holds_is_bounded() -> None:
    assert [holds_for_s(n, SETTINGS) for n in (0, 1, 2, 3, 10_000)] == [4, 8, 16, 20, 20]
    short = GateSettings(ttl_s=50.0, ttl_max_s=20.0)
    assert holds_for_s(0, short) == 50.0, "never shorter than a first verdict"


def test_a_verdict_about_the_same_moment_confirms_nothing() -> None:
    assert _after(_said(10.0), _said(10.0)).confirmations == 0


def test_the_key_of_a_record_goes_on() -> None:
    assert _said(2.0).after(_said(1.0, key="k"), SETTINGS).key == "k"


def test_on_other_frames_the_class_that_most_verdicts_named_stands() -> None:
    wavering = _after(_said(1.0, CAR), _said(2.0, CAR), _said(3.0, BOTTLE))
    assert wavering.class_index == BOTTLE, "on its own frame it stands as it is"
    assert wavering.carried_class(PERSON, 0.1) == CAR
    changed = _after(_said(1.0, CAR), *(_said(2.0 + n, BOTTLE) for n in range(3)))
    assert changed.carried_class(PERSON, 0.1) == BOTTLE


def test_the_light_models_own_judgement_is_a_vote_too() -> None:
    weak = _after(_said(1.0, BOTTLE, 0.3))
    assert weak.carried_class(CAR, 0.9) == CAR
    assert weak.carried_class(CAR, 0.1) == BOTTLE
    strong = _after(*(_said(float(n), BOTTLE, 0.9) for n in range(3)))
    assert strong.carried_class(CAR, 1.0) == BOTTLE


def test_where_all_agree_or_nothing_was_seen_there_is_nothing_to_vote_on() -> None:
    assert _after(_said(1.0, CAR)).carried_class(CAR, 0.0) == CAR
    assert _after(_refuted(1.0)).carried_class(BOTTLE, 0.0) == BOTTLE
    assert _said(1.0, BOTTLE).carried_class(CAR, 0.1) == BOTTLE, "recalled without its votes"


def test_votes_are_bounded_and_a_late_verdict_does_not_count_newer_ones() -> None:
    many = _after(*(_said(float(n), n) for n in range(50)))
    assert len(many.votes) <= 8
    assert max(many.votes, key=lambda vote: vote[1])[0] == 49
    late = _said(1.0, BOTTLE).after(_said(5.0, CAR).after(None, SETTINGS), SETTINGS)
    assert [index for index, _ in late.votes] == [BOTTLE]


def test_verdicts_agree_about_class_or_absence() -> None:
    assert _said(1.0).agrees(_said(2.0, score=0.1))
    assert not _said(1.0).agrees(_said(2.0, BOTTLE))
    assert _refuted(1.0).agrees(_refuted(2.0))
    assert not _refuted(1.0).agrees(_said(2.0))


def test_a_box_of_next_to_no_score_is_not_vouched_for() -> None:
    said = _said(1.0)
    assert said.fallen(0.01)
    assert not said.fallen(0.4)


def test_a_known_false_positive_lasts_as_long_as_it_holds() -> None:
    lasting = replace(_refuted(10.0), lasting=True, until_s=1000.0)
    assert lasting.lasts(1000.0)
    assert not lasting.lasts(1001.0)
    assert not _refuted(10.0).lasts(10.0)
    assert not _refuted(10.5).after(lasting, SETTINGS).lasts(11.0), (
        "it is for the memory to say again"
    )
