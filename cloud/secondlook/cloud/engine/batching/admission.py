"""Refuses at once what could not be answered in time: before it waits, not after.

A newcomer's answer is predicted from what runs, the rows that fair shares put before it, and the
measured pace. It is let in when the wait, widened by a margin, and its own batch fit into the time
that it has left. The margin grows when accepted work comes too late all the same (others came in
the meantime, the network has become slower, the machine does other work), and shrinks slowly while
all is in time. Each tenant has its own: who asks for more than its share waits longest, and is late
first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secondlook.cloud.engine.batching.pace import Pace
from secondlook.shared.errors import Overloaded

CAUTION = 2.0
"""What a predicted wait is widened by at least. Where batches take a third longer or shorter at
random, one wait in a hundred is twice what was predicted; and a queue of half of the time that is
allowed keeps a device as busy as a longer one."""

MOST_CAUTION = 4.0

LATE = 1.1
"""A late answer widens the margin by so much."""

DRIFT_WEIGHT = 0.1
"""Weight of the last batch in how much longer batches take than their pace says."""

MOST_DRIFT = 10.0

ONCE_S = 0.1
"""What is late within so long is late for one reason."""

FORGET_S = 60.0
"""What the margin has grown by shrinks to a third in this time."""

TENANTS = 1024
"""Tenants whose margins are kept apart; only those above the least are kept at all."""


@dataclass(slots=True)
class _Margin:
    value: float
    at_s: float
    late_s: float


class Admission:
    """One batcher's door. Not thread-safe.

    Args:
        pace: how long batches take.
        instances: copies that run side by side.
    """

    def __init__(self, pace: Pace, instances: int) -> None:
        self._pace = pace
        self._instances = max(1, instances)
        self._margins: dict[str, _Margin] = {}
        self._drift = 1.0

    def ran(self, expected_s: float, took_s: float) -> None:
        """A batch was expected to take so long, and has taken so long.

        The pace is a median, which hiccups do not move. What waits for many batches meets their
        mean: so predictions follow what batches really take, by their last ones.
        """
        if expected_s > 0:
            ratio = min(MOST_DRIFT, took_s / expected_s)
            self._drift += DRIFT_WEIGHT * (ratio - self._drift)

    def predict_s(self, ahead: int, rows: int, busy_s: float) -> tuple[float, float] | None:
        """Seconds that a newcomer waits, and that its batch takes; ``None``: nothing is measured.

        Args:
            ahead: rows that go before it.
            rows: its own.
            busy_s: until the first instance is free.
        """
        pace = self._pace
        size = pace.best(ahead + rows)
        batch_s = pace.seconds(size)
        if batch_s is None:
            return None
        own_s = batch_s if rows <= size else pace.seconds(rows) or batch_s
        drift = max(1.0, self._drift)
        return busy_s + ahead * batch_s / size / self._instances * drift, own_s * drift

    def check(
        self, tenant: str, now_s: float, left_s: float, predicted_s: tuple[float, float]
    ) -> None:
        """Let a newcomer in.

        Args:
            tenant: who asks.
            now_s: the time.
            left_s: seconds until its deadline.
            predicted_s: see `predict_s`.

        Raises:
            Overloaded: it could not be answered in time; says when there will be room.
        """
        wait_s, own_s = predicted_s
        wide_s = wait_s * self.margin(tenant, now_s) + own_s
        if wide_s > left_s:
            raise Overloaded(
                f"the answer would take {wait_s + own_s:.3f} s, and {left_s:.3f} s are left",
                retry_after_s=wide_s - left_s,
            )

    def relief_s(self, rows: int) -> float | None:
        """When so many rows will have been served; ``None``: not known."""
        predicted_s = self.predict_s(rows, 1, 0.0)
        return None if predicted_s is None else sum(predicted_s)

    def margin(self, tenant: str, now_s: float) -> float:
        """What a tenant's predictions are widened by."""
        margin = self._margins.get(tenant)
        if margin is None:
            return CAUTION
        margin.value = CAUTION + (margin.value - CAUTION) * math.exp(
            (margin.at_s - now_s) / FORGET_S
        )
        margin.at_s = now_s
        if margin.value < CAUTION * 1.001:
            del self._margins[tenant]
        return margin.value

    def most_margin(self) -> float:
        """The widest margin of any tenant, as it was last looked at."""
        return max((margin.value for margin in tuple(self._margins.values())), default=CAUTION)

    def late(self, tenant: str, now_s: float) -> None:
        """An accepted request of a tenant was not answered in time."""
        value = self.margin(tenant, now_s)
        margin = self._margins.get(tenant)
        if margin is None:
            if len(self._margins) >= TENANTS:
                del self._margins[next(iter(self._margins))]
            margin = self._margins[tenant] = _Margin(value, now_s, -math.inf)
        if now_s - margin.late_s >= ONCE_S:
            margin.late_s = now_s
            margin.value = min(MOST_CAUTION, value * LATE)
