"""Who gets what of a shared budget."""

from __future__ import annotations

import math

import pytest

from secondlook.edge.control import Claim, share
from secondlook.edge.control.sharing import pour
from secondlook.shared.errors import InvalidInput

FREE = math.inf


def granted(rate: float, *claims: Claim) -> dict[str, float]:
    return {one.camera: round(one.granted, 6) for one in share(rate, claims)}


def test_what_one_does_not_need_is_lent_to_those_who_do() -> None:
    claims = Claim("quiet", 1.0), Claim("busy", FREE), Claim("busier", FREE)
    assert granted(10, *claims) == {"quiet": 1, "busy": 4.5, "busier": 4.5}


def test_weights_count() -> None:
    assert granted(12, Claim("gate", FREE, weight=2), Claim("yard", FREE)) == {"gate": 8, "yard": 4}


def test_what_nobody_wants_is_spread_so_that_all_may_begin() -> None:
    assert granted(10, Claim("a", 1.0), Claim("b", 3.0)) == {"a": 4, "b": 6}


def test_thresholds_come_first() -> None:
    claims = Claim("wish", FREE), Claim("must", 7.0, required=7.0), Claim("wish2", FREE)
    assert granted(9, *claims) == {"wish": 1, "must": 7, "wish2": 1}
    reasons = {one.camera: one.reason for one in share(9, claims)}
    assert reasons["must"] == "its threshold demands it; others give way"
    assert "thresholds of others" in reasons["wish"]


def test_thresholds_that_do_not_fit_are_cut_fairly_and_it_is_said() -> None:
    shares = share(9, [Claim("a", 8, required=8), Claim("b", 8, required=8), Claim("c", FREE)])
    assert [round(one.granted, 6) for one in shares] == [4.5, 4.5, 0]
    assert "demands more" in shares[0].reason


def test_floors_are_not_lifted_before_the_others_have_as_much() -> None:
    level = pour(10, {"a": FREE, "b": FREE}, {"a": 1, "b": 1}, floors={"a": 6, "b": 0})
    assert level == {"a": 6, "b": 4}


def test_nobody_and_nothing() -> None:
    assert share(10, []) == ()
    assert granted(0, Claim("a", FREE), Claim("b", 1)) == {"a": 0, "b": 0}


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_nonsense_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput):
        share(bad, [Claim("a", 1)])
    with pytest.raises(InvalidInput, match="claim of a"):
        Claim("a", bad)
    with pytest.raises(InvalidInput, match="claim of a"):
        Claim("a", 1, required=bad)
    with pytest.raises(InvalidInput, match="weight"):
        Claim("a", 1, weight=bad)
