"""How the budget is divided between questions and the memory."""

from __future__ import annotations

from typing import Any

import pytest
from support.edge import edge_settings

from secondlook.edge.daemon.budget import divide
from secondlook.edge.settings import EdgeSettings


def settings(budget: dict[str, Any], sync: dict[str, Any] | None = None) -> EdgeSettings:
    memory = {"enabled": True, "sync": sync or {}}
    return edge_settings("127.0.0.1:1", budget=budget, memory=memory)


@pytest.mark.parametrize(
    "given",
    [{"kb_per_s": 10}, {"mb_per_day": 864}, {"money_per_month": 26.298, "price_per_gb": 1}],
)
def test_the_memory_gets_its_part_of_the_budget(given: dict[str, Any]) -> None:
    budget, memory = divide(settings(given))
    assert budget.bytes_per_s == pytest.approx(9000)
    assert memory.sync.max_bytes_per_s == 1000
    assert memory.sync.burst_bytes == 10_000


def test_a_limit_of_its_own_stands() -> None:
    budget, memory = divide(settings({"kb_per_s": 10}, {"max_bytes_per_s": 77}))
    assert budget.bytes_per_s == 10_000
    assert memory.sync.max_bytes_per_s == 77


def test_without_a_budget_nothing_changes() -> None:
    given = settings({"cloud_per_s": 3})
    assert divide(given) == (given.budget, given.memory)


@pytest.mark.parametrize("rate", [0, 0.005])
def test_a_budget_of_next_to_nothing_synchronises_nothing(rate: float) -> None:
    budget, memory = divide(settings({"kb_per_s": rate}))
    assert budget.bytes_per_s == 1000 * rate
    assert not memory.sync.enabled
