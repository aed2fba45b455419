"""Budgets in their units."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from secondlook.edge.control import BudgetSettings, CameraBudget


def test_no_budget_is_no_limit() -> None:
    assert BudgetSettings().bytes_per_s is None
    assert BudgetSettings().cloud_per_s is None
    assert BudgetSettings().inference_bytes == 0


@pytest.mark.parametrize(
    ("given", "bytes_per_s"),
    [
        ({"kb_per_s": 4}, 4000),
        ({"kb_per_s": 0}, 0),
        ({"mb_per_day": 86.4}, 1000),
        ({"money_per_month": 26.298, "price_per_gb": 10}, 1000),
        ({"money_per_month": 0, "price_per_gb": 10}, 0),
        ({"money_per_month": 1e9, "price_per_gb": 1e-6}, 1e9 / 1e-6 * 1e9 / 2_629_800),
    ],
)
def test_all_units_become_bytes_a_second(given: dict[str, Any], bytes_per_s: float) -> None:
    assert BudgetSettings(**given).bytes_per_s == pytest.approx(bytes_per_s)
    assert CameraBudget(**given).bytes_per_s == pytest.approx(bytes_per_s)


def test_an_inference_that_costs_money_costs_bytes() -> None:
    paid = BudgetSettings(money_per_month=30, price_per_gb=2, money_per_inference=0.00001)
    assert paid.inference_bytes == pytest.approx(5000)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kb_per_s": 1, "mb_per_day": 1}, "kb_per_s and mb_per_day"),
        ({"money_per_month": 1}, "needs price_per_gb"),
        ({"price_per_gb": 1}, "price_per_gb needs money_per_month"),
        ({"kb_per_s": 1, "money_per_inference": 1}, "money_per_inference needs"),
        ({"kb_per_s": -1}, "kb_per_s"),
        ({"kb_per_s": float("nan")}, "kb_per_s"),
        ({"kb_per_s": float("inf")}, "kb_per_s"),
        ({"money_per_month": 1, "price_per_gb": 0}, "price_per_gb"),
        ({"cloud_per_s": -0.1}, "cloud_per_s"),
        ({"burst_s": 0}, "burst_s"),
        ({"audit_share": 1}, "audit_share"),
        ({"per_camera": {"weight": 0}}, "weight"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BudgetSettings(**given)
