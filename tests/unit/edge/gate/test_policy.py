"""What the gate asks about, on given evidence and terms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.gate import evidence

from secondlook.edge.control.allowance import Allowance
from secondlook.edge.gate import Choice, FrameEvidence, RiskGate, Terms
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Purpose

BYTES = 100.0
"""What each candidate costs here."""


def _terms(**given: Any) -> Terms:
    limits = {
        name: given.pop(name) for name in list(given) if name in Allowance.__dataclass_fields__
    }
    return Terms(
        **{
            "allowance": Allowance(**limits),
            "bytes_of": lambda boxes: np.full(len(boxes), BYTES),
            "whole_bytes": 1000.0,
            **given,
        }
    )


def _choose(frame: FrameEvidence, settings: dict[str, Any] | None = None, **terms: Any) -> Choice:
    given = {
        "threshold": 0.2,
        "again_factor": 2.0,
        "again_s": 1.0,
        "waiting_factor": 1000.0,
        "ride_share": 0.5,
    }
    gate = RiskGate(GateSettings.model_validate({**given, **(settings or {})}))
    return gate.choose(frame, _terms(**terms))


def test_what_a_verdict_saves_decides_and_the_largest_goes_first() -> None:
    choice = _choose(evidence([0.3, 0.01, 0.5, 0.05]))
    assert choice.ask == (2, 0)
    assert len(choice.box_reasons) == 2
    assert "a verdict saves 0.50" in choice.box_reasons[0]
    assert choice.purpose is Purpose.UNSURE
    assert not choice.whole_frame
    assert choice.left == ()


def test_nothing_seen_is_confident_and_so_is_what_lies_below_the_threshold() -> None:
    empty = _choose(evidence())
    assert empty.ask == ()
    assert empty.reasons == ("nothing seen, nothing to ask",)
    sure = _choose(evidence([0.19, 0.1]))
    assert sure.ask == ()
    assert "largest loss is 0.19, below 0.2" in sure.reasons[0]


def test_what_is_half_as_unsure_rides_along_but_starts_no_question() -> None:
    assert _choose(evidence([0.15, 0.05])).ask == ()
    assert _choose(evidence([0.15, 0.3, 0.05])).ask == (1, 0)
    dear = _choose(evidence([0.15, 0.3]), byte_price=0.16 / BYTES)
    assert dear.ask == (1,), "what rides along pays its bytes too"


def test_what_was_judged_is_asked_again_at_a_higher_threshold_and_not_at_once() -> None:
    ages = [2.0, 2.0, 0.5]
    choice = _choose(evidence([0.3, 0.45, 0.9], ages_s=ages))
    assert choice.ask == (1, 0), "the first rides along, the last was judged just now"
    assert choice.purpose is Purpose.REFRESH
    assert "the last one is 2.0 s old" in choice.box_reasons[0]
    assert _choose(evidence([0.3], ages_s=[2.0])).ask == ()
    just_now = _choose(evidence([0.9], ages_s=[0.5]))
    assert just_now.ask == ()
    assert "judged 0.50 s ago" in just_now.reasons[0]
    mixed = _choose(evidence([0.5, 0.45], ages_s=[math.nan, 2.0]))
    assert mixed.purpose is Purpose.UNSURE


def test_what_waits_for_its_verdict_is_not_asked_twice() -> None:
    choice = _choose(evidence([0.5, 0.4], in_flight=[True, False]))
    assert choice.ask == (1,)
    none = _choose(evidence([0.5], in_flight=[True]))
    assert none.ask == ()
    assert "1 asked" in none.reasons[0]


def test_what_waits_is_asked_about_in_later_frames_where_that_is_wanted() -> None:
    waiting = evidence([0.5, 0.3, 0.3], in_flight=[True, True, False])
    assert _choose(waiting, {"waiting_factor": 1.0}).ask == (0, 1, 2)
    assert _choose(waiting, {"waiting_factor": 2.0}).ask == (0, 1, 2), "the second rides along"
    assert _choose(waiting, {"waiting_factor": 10.0}).ask == (2,)
    again = evidence([0.5, 0.5], in_flight=[True, True], ages_s=[2.0, 0.5])
    assert _choose(again, {"waiting_factor": 1.0}).ask == (0,), "not at once after a verdict"


def test_a_slow_cloud_is_not_asked_again_about_what_it_was_asked() -> None:
    busy = replace(evidence([0.5, 0.4], in_flight=[True, False]), questions=3)
    assert _choose(busy, {"waiting_factor": 1.0, "max_waiting": 4}).ask == (0, 1)
    assert _choose(busy, {"waiting_factor": 1.0, "max_waiting": 3}).ask == (1,)


def test_a_suspicion_that_waits_is_not_asked_about_twice() -> None:
    place = replace(evidence([0.5], in_flight=[True]), track_ids=np.array([-1]))
    assert _choose(place, {"waiting_factor": 1.0}).ask == ()


@pytest.mark.parametrize("price", [0.0, 1.0, math.inf])
def test_the_certificate_demands_at_any_price(price: float) -> None:
    prices = {"byte_price": price, "inference_price": price}
    choice = _choose(evidence([0.05, 0.6, 0.04]), certified_loss=0.05, **prices)
    demanded = [index for index in choice.ask if "certificate demands it" in choice.reasons[index]]
    assert set(choice.ask) >= {0, 1}
    assert len(demanded) == 2
    assert _choose(evidence([0.0]), certified_loss=1e-9, **prices).ask == (), "nothing to save"


@pytest.mark.parametrize("losses", [[], [0.0], [0.05, 0.6]], ids=str)
def test_where_nothing_but_sending_everything_is_certified_frames_go_whole(
    losses: list[float],
) -> None:
    choice = _choose(evidence(losses), certified_loss=0.0, way="edge", whole_bytes=500.0)
    assert choice.whole_frame
    assert not choice.known, "the coin could have chosen it"
    assert "nothing but sending everything is certified" in choice.reasons[0]
    poor = _choose(evidence(losses), certified_loss=0.0, whole_bytes=500.0, bytes_now=499.0)
    assert not poor.whole_frame
    assert set(poor.ask) == {n for n, loss in enumerate(losses) if loss > 0 and BYTES <= 499}


def test_the_certificate_demands_also_what_was_judged_just_now_or_is_asked_already() -> None:
    frame = evidence([0.3, 0.3], ages_s=[0.1, 0.1], in_flight=[False, True])
    assert _choose(frame, certified_loss=0.2).ask == (0, 1)
    busy = replace(frame, questions=3)
    assert _choose(busy, {"max_waiting": 4}, certified_loss=0.2).ask == (0, 1)
    assert _choose(busy, {"max_waiting": 3}, certified_loss=0.2).ask == (0,)


def test_a_byte_must_bring_its_price() -> None:
    assert _choose(evidence([0.3]), byte_price=0.3 / BYTES).ask == (0,)
    dear = _choose(evidence([0.3]), byte_price=0.31 / BYTES, reasons=("4 KB/s are used up",))
    assert dear.ask == ()
    assert "1 are unsure" in dear.reasons[0]
    assert "4 KB/s are used up" in dear.reasons[0]
    assert "below" not in dear.reasons[0], "it is not below the threshold"


def test_an_inference_is_paid_by_all_together() -> None:
    assert _choose(evidence([0.3, 0.3]), inference_price=0.6).ask == (0, 1)
    assert _choose(evidence([0.3, 0.3]), inference_price=0.61).ask == ()
    # What pays no bytes does not help to pay the inference.
    sizes = {"bytes_of": lambda boxes: np.array([1.0, 1e9])}
    frame = evidence([0.3, 0.9])
    assert _choose(frame, inference_price=0.6, byte_price=1e-3, **sizes).ask == ()


def test_where_the_budget_does_not_suffice_the_largest_go_and_the_rest_is_said() -> None:
    choice = _choose(
        evidence([0.3, 0.5, 0.4]), bytes_now=2.5 * BYTES, reasons=("1 KB/s for this camera",)
    )
    assert choice.ask == (1, 2)
    assert choice.left == (0,)
    assert choice.reasons[-1] == "1 more are unsure; 1 KB/s for this camera"


def test_what_is_demanded_goes_before_what_only_pays() -> None:
    frame = replace(evidence([0.3, 0.9]), verdict_age_s=np.array([math.nan, 0.1]))
    choice = _choose(frame, {"again_s": 0.0}, certified_loss=0.8, bytes_now=BYTES)
    assert choice.ask == (1,)


@pytest.mark.parametrize("limit", [{"bytes_now": 0.0}, {"inferences_now": 0.5}])
def test_a_budget_that_is_used_up_says_so(limit: dict[str, float]) -> None:
    choice = _choose(
        evidence([0.3, 0.5]), certified_loss=0.1, reasons=("the day's 5 MB are sent",), **limit
    )
    assert choice.ask == ()
    assert choice.box_reasons == ()
    assert set(choice.left) == {0, 1}
    assert choice.reasons == ("2 are unsure; no budget: the day's 5 MB are sent",)


def test_a_loss_that_is_no_number_is_never_asked_about() -> None:
    frame = evidence([math.nan, 0.5, math.nan])
    assert _choose(frame, certified_loss=1e-9).ask == (1,)
    alone = _choose(evidence([math.nan]), certified_loss=1e-9)
    assert alone.ask == ()
    assert "nan" not in alone.reasons[0]


def test_a_question_has_at_most_so_many_regions() -> None:
    losses = np.linspace(0.3, 0.9, 50).tolist()
    choice = _choose(evidence(losses), {"max_regions": 8})
    assert choice.ask == tuple(range(49, 41, -1))
    assert len(choice.left) == 42
    assert "42 more are unsure" in choice.reasons[-1]


def test_a_place_brings_its_own_reason() -> None:
    frame = replace(
        evidence([0.5]), reasons=("something moves here",), names=("",),
        track_ids=np.array([-1]),
    )  # fmt: skip
    assert _choose(frame).box_reasons == ("something moves here",)


@pytest.mark.parametrize(
    ("age_s", "purpose"),
    [(None, Purpose.UNSURE), (301.0, Purpose.REFRESH), (300.0, Purpose.REFRESH)],
)
def test_the_cloud_gets_a_whole_frame_first_and_now_and_then(
    age_s: float | None, purpose: Purpose
) -> None:
    frame = evidence([0.5], background_age_s=age_s)
    choice = _choose(frame, {"background_every_s": 300.0})
    assert choice.whole_frame
    assert choice.purpose is purpose
    assert choice.ask == ()
    waiting = replace(frame, background_in_flight=True)
    assert not _choose(waiting, {"background_every_s": 300.0}).whole_frame
    poor = _choose(frame, {"background_every_s": 300.0}, bytes_now=999.0)
    assert not poor.whole_frame
    assert poor.ask == (0,), "what fits the budget goes all the same"


def test_an_audit_is_thrown_and_never_depends_on_what_is_seen_or_may_be_spent() -> None:
    frames = [evidence(), evidence([0.9, 0.9]), evidence([0.5], in_flight=[True])]
    for frame in frames:
        for limits in ({}, {"bytes_now": 0.0, "audit_bytes_now": 0.0}, {"byte_price": math.inf}):
            heads = _choose(frame, audit_rate=0.3, coin=0.29, **limits)
            assert heads.whole_frame
            assert heads.purpose is Purpose.AUDIT
            assert heads.coin == 0.29
            assert "coin 0.29" in heads.reasons[0]
            assert not _choose(frame, audit_rate=0.3, coin=0.3, **limits).whole_frame


def test_the_choice_says_what_was_thrown_also_where_nothing_is_asked() -> None:
    for frame in (evidence(), evidence([0.5]), evidence([0.5], background_age_s=None)):
        assert _choose(frame, audit_rate=0.1, coin=0.7).coin == 0.7
    assert _choose(evidence([0.5]), coin=0.7, bytes_now=0.0).coin == 0.7
