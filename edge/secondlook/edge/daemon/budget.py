"""Divides the budget of a daemon between questions and the memory's synchronisation."""

from __future__ import annotations

from secondlook.edge.control import BudgetSettings
from secondlook.edge.memory.settings import MemorySettings
from secondlook.edge.settings import EdgeSettings

_LEAST_BURST = 1024
_LEAST_BATCH = 128 * 1024


def divide(settings: EdgeSettings) -> tuple[BudgetSettings, MemorySettings]:
    """What questions may use, and the memory's settings with its part.

    A limit that `memory.sync` states by itself is taken as it is, and the budget is for questions
    alone; so it is where nothing is synchronised, or there is no budget.
    """
    budget, memory = settings.budget, settings.memory
    rate, part = budget.bytes_per_s, budget.sync_share
    shared = settings.uplink.enabled and memory.enabled and memory.sync.enabled
    if rate is None or not shared or memory.sync.max_bytes_per_s:
        return budget, memory
    if part * rate < 1:
        # 0 would mean no limit: without a byte a second nothing is synchronised at all.
        sync = memory.sync.model_copy(update={"enabled": False})
        return budget, memory.model_copy(update={"sync": sync})
    sync = memory.sync.model_copy(
        update={
            "max_bytes_per_s": int(part * rate),
            "burst_bytes": max(_LEAST_BURST, int(part * rate * budget.burst_s)),
            # One message may overdraw its account: keep messages small.
            "batch_bytes": _LEAST_BATCH,
        }
    )
    return budget.without(part), memory.model_copy(update={"sync": sync})
