"""What holds for the gate whatever it is told."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.gate import evidence

from secondlook.edge.control.allowance import Allowance
from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate import Choice, FrameEvidence, Risk, RiskGate, Terms, cold_start
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Purpose

_chance = st.floats(0, 1)
_loss = st.one_of(_chance, st.sampled_from([0.0, 0.12, 0.18, 1.0, math.nan]))
_age = st.one_of(st.just(math.nan), st.floats(0, 100))
_candidate = st.tuples(_loss, _age, st.booleans(), st.floats(1, 5000))
_limit = st.one_of(st.just(math.inf), st.floats(0, 20_000))


@st.composite
def _frames(draw: st.DrawFn) -> tuple[FrameEvidence, np.ndarray]:
    rows = draw(st.lists(_candidate, max_size=12))
    background = draw(st.one_of(st.none(), st.floats(0, 1000)))
    frame = evidence(
        [row[0] for row in rows],
        ages_s=[row[1] for row in rows],
        in_flight=[row[2] for row in rows],
        background_age_s=background,
        background_in_flight=draw(st.booleans()),
        questions=draw(st.integers(0, 8)),
    )
    return frame, np.array([row[3] for row in rows])


_allowances = st.builds(
    Allowance,
    byte_price=st.one_of(st.just(0.0), st.floats(0, 0.01), st.just(math.inf)),
    inference_price=st.one_of(st.just(0.0), st.floats(0, 2), st.just(math.inf)),
    bytes_now=_limit,
    inferences_now=st.sampled_from([0.0, 0.5, 1.0, 3.0, math.inf]),
    audit_bytes_now=_limit,
)
_settings = st.builds(
    GateSettings,
    threshold=st.floats(0.01, 1),
    again_factor=st.floats(1, 5),
    again_s=st.floats(0, 10),
    waiting_factor=st.floats(1, 1000),
    ride_share=st.floats(0.05, 1),
    max_regions=st.integers(1, 8),
)
_terms = st.tuples(
    _allowances,
    st.one_of(st.just(math.inf), _chance),
    _chance,
    st.floats(0, 0.999),
    st.floats(1, 1e5),
)


def _choose(
    settings: GateSettings,
    given_frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
) -> Choice:
    frame, sizes = given_frame
    allowance, certified, audit_rate, coin, whole = terms
    return RiskGate(settings).choose(
        frame, Terms(allowance, certified, audit_rate, lambda _: sizes, whole, coin)
    )


@given(_settings, _frames(), _terms)
def test_a_choice_is_affordable_and_in_itself_sound(
    settings: GateSettings,
    frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
) -> None:
    told, sizes = frame
    allowance, certified, audit_rate, coin, whole_bytes = terms
    choice = _choose(settings, frame, terms)
    asked = list(choice.ask)
    assert sizes[asked].sum() <= allowance.bytes_now * (1 + 1e-9)
    assert not asked or allowance.affords(0.0)
    assert len(set(asked)) == len(asked) == len(choice.box_reasons) <= settings.max_regions
    assert not set(asked) & set(choice.left)
    again = told.in_flight[asked]
    assert not again.any() or told.questions < settings.max_waiting
    least = min(settings.ride_share * settings.threshold, certified)
    assert (told.loss[asked][again] >= least).all()
    assert (told.loss[asked] > 0).all(), "NaN and nothing to save are never asked about"
    assert choice.coin == coin
    assert not (choice.whole_frame and asked)
    assert choice.reasons
    assert "nan" not in " ".join(choice.reasons)
    if choice.purpose is Purpose.AUDIT:
        assert coin < audit_rate
    elif choice.whole_frame:
        assert allowance.affords(whole_bytes)


@given(_settings, _frames(), _terms)
def test_equal_input_gives_an_equal_choice(
    settings: GateSettings,
    frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
) -> None:
    assert _choose(settings, frame, terms) == _choose(settings, frame, terms)


@given(_settings, _frames(), _terms, _limit)
def test_more_budget_never_asks_less_of_what_is_demanded(
    settings: GateSettings,
    frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
    more: float,
) -> None:
    told, _ = frame
    allowance, certified, *rest = terms

    def demanded(bytes_now: float) -> set[int]:
        richer = Allowance(
            byte_price=allowance.byte_price,
            inference_price=allowance.inference_price,
            bytes_now=bytes_now,
            inferences_now=allowance.inferences_now,
        )
        choice = _choose(settings, frame, (richer, certified, *rest))
        asked = range(len(told)) if choice.whole_frame else choice.ask
        return {index for index in asked if told.loss[index] >= certified}

    assert demanded(allowance.bytes_now) <= demanded(allowance.bytes_now + more)


@given(_settings, _frames(), _terms, st.floats(0, 1))
def test_a_lower_certified_loss_never_asks_less(
    settings: GateSettings,
    frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
    lower: float,
) -> None:
    roomy = Allowance.unlimited()
    _, certified, *rest = terms
    settings = settings.model_copy(update={"max_regions": 256})
    strict = _choose(settings, frame, (roomy, min(lower, certified), *rest))
    lax = _choose(settings, frame, (roomy, certified, *rest))
    # At 0 nothing but sending everything is certified.
    assert strict.whole_frame == (lax.whole_frame or min(lower, certified) <= 0)
    assert strict.whole_frame or set(lax.ask) <= set(strict.ask)


@given(_settings, _frames(), _terms, _frames())
def test_audits_depend_on_the_coin_alone(
    settings: GateSettings,
    frame: tuple[FrameEvidence, np.ndarray],
    terms: tuple[Allowance, float, float, float, float],
    other: tuple[FrameEvidence, np.ndarray],
) -> None:
    """Where no whole frame goes in any case, which is known and no sample."""
    _, _, audit_rate, coin, _ = terms
    for one in (frame, other):
        choice = _choose(settings, one, terms)
        if choice.whole_frame and choice.purpose is not Purpose.AUDIT:
            continue
        assert (choice.purpose is Purpose.AUDIT) == (coin < audit_rate)


@given(st.lists(st.tuples(_chance, _chance), max_size=20))
def test_risk_is_a_share_and_no_larger_than_either_answers(
    rows: list[tuple[float, float]],
) -> None:
    present, same = np.array(rows).reshape(-1, 2).T
    risk = Risk.of(present, same)
    assert ((risk.loss >= 0) & (risk.loss <= 1)).all()
    assert ((risk.right >= 0) & (risk.right <= 1)).all()
    assert (risk.loss <= present + 1e-12).all()
    assert (risk.loss <= (1 - present) + 2 * present * (1 - same) + 1e-12).all()


_numbers = st.floats(-1e4, 1e4)


@given(
    st.lists(st.tuples(*[_numbers] * len(SIGHT)), min_size=1, max_size=4),
    st.tuples(*[_numbers] * len(CHANGE)),
    st.booleans(),
)
def test_the_cold_start_gives_shares_whatever_it_reads(
    rows: list[tuple[float, ...]], change: tuple[float, ...], refuted: bool
) -> None:
    model, sights = cold_start(), np.array(rows)
    changes = np.tile(np.array(change), (len(rows), 1))
    verified = model.verified(sights, changes, np.full(len(rows), refuted))
    for risk in (model.unverified(sights), verified):
        for values in (risk.right, risk.loss):
            assert ((values >= 0) & (values <= 1)).all()
