"""The score band: what it asks, and what it does not ask twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secondlook.edge.gate import Evidence, FrameEvidence, ScoreBandGate, coin
from secondlook.edge.gate.band import question
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Purpose

SETTINGS = GateSettings(
    low_score=0.2, high_score=0.7, weak_score=0.1, weak_hits=2, audit_rate=0.0, max_regions=2
)
FRESH = Evidence(np.array([10, 10, 50, 60], np.float32), 0.45, "car", track_id=1)
KNOWN = replace(
    FRESH,
    verdict_age_s=1.0,
    verdict_left_s=4.0,
    verdict_edge_class="car",
    verdict_edge_score=0.45,
    verdict_area=FRESH.area,
)


def _frame(*boxes: Evidence, **changes: object) -> FrameEvidence:
    known = FrameEvidence("gate", 7, boxes, background_age_s=1.0, background_in_flight=False)
    return replace(known, **changes)


@pytest.mark.parametrize(
    ("score", "hits", "asks"),
    [
        (0.45, 1, True),
        (0.2, 1, True),
        (0.699, 1, True),
        (0.7, 1, False),
        (0.99, 9, False),
        (0.15, 1, False),
        (0.15, 2, True),
        (0.09, 9, False),
    ],
)
def test_a_box_without_a_verdict_is_asked_inside_the_band(
    score: float, hits: int, asks: bool
) -> None:
    assert (question(replace(FRESH, score=score, hits=hits), SETTINGS) is not None) is asks


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({}, False),
        ({"in_flight": True, "verdict_left_s": -1.0}, False),
        ({"verdict_left_s": -0.1}, True),
        ({"verdict_left_s": -0.1, "score": 0.9}, False),
        ({"class_name": "person"}, True),
        ({"class_name": "person", "in_flight": True}, False),
        ({"class_name": "person", "score": 0.95}, False),
        ({"box": np.array([0, 0, 100, 100], np.float32)}, True),
        ({"box": np.array([0, 0, 20, 20], np.float32)}, True),
        ({"refuted": True, "score": 0.5}, False),
        ({"refuted": True, "score": 0.65}, True),
    ],
)
def test_a_box_with_a_verdict_is_asked_again_only_for_a_reason(
    change: dict[str, object], asks: bool
) -> None:
    asked = question(replace(KNOWN, **change), SETTINGS)
    assert (asked is not None) is asks
    assert asked is None or asked.reason


def test_reasons_are_plain_words_with_numbers() -> None:
    choice = ScoreBandGate(SETTINGS).choose(_frame(FRESH))
    assert choice.ask == (0,)
    assert choice.reasons == ("score 0.45 of car lies in the band",)
    assert choice.purpose is Purpose.UNSURE
    quiet = ScoreBandGate(SETTINGS).choose(_frame())
    assert quiet.ask == ()
    assert quiet.reasons == ("nothing seen, nothing to ask",)


def test_the_unsurest_go_first_and_the_rest_is_named() -> None:
    boxes = [replace(FRESH, score=score) for score in (0.69, 0.45, 0.3)]
    choice = ScoreBandGate(SETTINGS).choose(_frame(*boxes))
    assert choice.ask == (1, 2)
    assert "1 more are unsure" in choice.reasons[-1]


def test_only_aged_verdicts_make_a_refresh() -> None:
    aged = replace(KNOWN, verdict_left_s=-1.0)
    gate = ScoreBandGate(SETTINGS)
    assert gate.choose(_frame(aged)).purpose is Purpose.REFRESH
    assert gate.choose(_frame(aged, FRESH)).purpose is Purpose.UNSURE


def test_the_cloud_is_given_a_background_first_and_again_in_time() -> None:
    gate = ScoreBandGate(SETTINGS)
    first = gate.choose(_frame(background_age_s=None))
    assert first.whole_frame
    assert first.purpose is Purpose.UNSURE
    waiting = gate.choose(_frame(FRESH, background_age_s=None, background_in_flight=True))
    assert not waiting.whole_frame
    assert waiting.ask == (0,)
    old = gate.choose(_frame(background_age_s=SETTINGS.background_every_s))
    assert old.whole_frame
    assert old.purpose is Purpose.REFRESH


def test_equal_evidence_gives_an_equal_choice() -> None:
    frame = _frame(FRESH, KNOWN)
    assert ScoreBandGate(SETTINGS).choose(frame) == ScoreBandGate(SETTINGS).choose(frame)


def test_audits_are_chosen_by_number_and_not_by_content() -> None:
    gate = ScoreBandGate(SETTINGS.model_copy(update={"audit_rate": 0.25, "seed": 3}))
    empty = [gate.choose(_frame(sequence=n)).purpose is Purpose.AUDIT for n in range(2000)]
    full = [gate.choose(_frame(FRESH, sequence=n)).purpose is Purpose.AUDIT for n in range(2000)]
    assert empty == full
    assert 0.2 < sum(empty) / 2000 < 0.3


def test_the_coin_differs_between_seeds_cameras_and_frames() -> None:
    throws = {coin(s, c, n) for s in (0, 1) for c in ("a", "b") for n in range(50)}
    assert len(throws) == 200
    assert all(0 <= throw < 1 for throw in throws)
    assert coin(0, "a", 1) == coin(0, "a", 1)


def test_a_band_that_is_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="low_score <= high_score"):
        GateSettings(low_score=0.9, high_score=0.5)
