"""The dual price: it settles where what pays costs what flows in."""

from __future__ import annotations

import random

import pytest

from secondlook.edge.control import BudgetSettings, Controller
from secondlook.edge.control.price import DualPrice
from secondlook.shared.values import Purpose


def _drive(
    kb_per_s: float, asks_per_s: float, minutes: float, seed: int = 3
) -> tuple[float, list[float]]:
    """Bytes a second in the last half, and the price of a second of budget over time.

    Questions of 1 KB come ten times a second, each with a utility from 0 to 1.
    """
    draw = random.Random(seed)
    controller = Controller(BudgetSettings(kb_per_s=kb_per_s, audit_share=0), {"gate": None}, 0.0)
    sent, prices, steps = 0.0, [], int(minutes * 600)
    for step in range(steps):
        now_s = step / 10
        if draw.random() < asks_per_s / 10:
            allowance = controller.allowance("gate", now_s)
            pays = allowance.worth(draw.random(), 1000)
            paid = controller.reserve("gate", Purpose.UNSURE, 1000, 1, now_s) if pays else None
            if paid is not None:
                paid.attempt(1000, now_s)
                paid.close(now_s)
                sent += 1000 if step >= steps / 2 else 0
        prices.append(controller.bytes.nu("gate"))
    return sent / (minutes * 30), prices


def test_where_too_much_is_asked_the_price_settles_and_the_budget_is_used() -> None:
    rate, prices = _drive(kb_per_s=2, asks_per_s=8, minutes=20)
    assert 0.95 * 2000 <= rate <= 2000 + 20_000 / 600
    late = prices[len(prices) // 2 :]
    # A quarter of the questions fits; that quarter is worth at least 0.75, and costs half a second.
    assert sum(late) / len(late) == pytest.approx(1.5, abs=0.2)
    assert max(late) - min(late) < 0.8


def test_where_the_budget_is_ample_nothing_costs_anything() -> None:
    rate, prices = _drive(kb_per_s=10, asks_per_s=5, minutes=4)
    assert rate == pytest.approx(5000, rel=0.1)
    # But for the start, when the bucket is empty.
    assert max(prices[300:]) == 0


def test_the_price_falls_again_when_the_rush_is_over() -> None:
    price = DualPrice()
    for _ in range(600):
        price.move(0.5, 0.1, 0.0)
    dear = price.nu
    assert dear > 5
    for _ in range(600):
        price.move(0.0, 0.1, 1.0)
    assert price.nu < dear - 3
    for _ in range(6000):
        price.move(0.0, 0.1, 1.0)
    assert price.nu == 0


def test_a_leap_of_the_clock_moves_it_little() -> None:
    price = DualPrice()
    price.move(0.0, 1e9, 0.0)
    assert price.nu == 0
    price.move(30.0, 1.0, 0.0)
    before = price.nu
    price.move(0.0, 1e9, 1.0)
    assert before - price.nu <= 1.25 + 1e-9
