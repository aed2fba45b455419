"""What a camera may spend now."""

from __future__ import annotations

import math

import pytest

from secondlook.edge.control import Allowance, Infeasible
from secondlook.shared.errors import InvalidInput


def test_without_a_budget_everything_is_free_and_allowed() -> None:
    free = Allowance.unlimited()
    assert free.price(1e9, 1000) == 0
    assert free.worth(0.0, 1e9)
    assert free.affords(1e12, 1e6)
    assert free.affords(1e12, audit=True)
    assert (free.slo, free.reasons, free.late) == (None, (), False)


def test_a_question_pays_where_its_utility_is_at_least_its_price() -> None:
    dear = Allowance(byte_price=0.001, inference_price=0.2)
    assert dear.price(300, 2) == pytest.approx(0.7)
    assert dear.worth(0.7, 300, 2)
    assert not dear.worth(0.69, 300, 2)
    assert not dear.worth(math.nan, 300, 2)


def test_nothing_costs_nothing_also_at_an_infinite_price() -> None:
    shut = Allowance(byte_price=math.inf, inference_price=math.inf)
    assert shut.price(0, 0) == 0
    assert not shut.worth(1e300, 1, 0)


def test_audits_have_room_of_their_own() -> None:
    tight = Allowance(
        bytes_now=100, inferences_now=0.5, audit_bytes_now=500, audit_inferences_now=1
    )
    assert not tight.affords(100)
    assert tight.affords(100, 0.5)
    assert not tight.affords(101, 0)
    assert tight.affords(500, audit=True)
    assert not tight.affords(501, audit=True)
    assert not tight.affords(math.nan)


def test_infeasible_says_its_numbers() -> None:
    assert str(Infeasible("bytes", 12_000, 4000)) == (
        "SLO_INFEASIBLE: 12,000 bytes/s needed, 4,000 available"
    )


@pytest.mark.parametrize("field", ["byte_price", "bytes_now", "audit_inferences_now"])
@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_nonsense_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=field):
        Allowance(**{field: value})
