"""Refuses at once what could not be answered in time: before it waits, not after.

A newcomer's answer is predicted from what runs, the rows that fair shares put before it, and the
measured pace. It is let in when the prediction, widened by a margin, lies within the time it has
left. The margin grows when accepted work comes too late all the same (a network that has become
slower, other work on the machine), and shrinks slowly while all is in time.
"""

from __future__ import annotations

from secondlook.cloud.engine.batching.pace import Pace
from secondlook.shared.errors import Overloaded

CAUTION = 1.15
"""What a prediction is widened by at least."""

MOST_CAUTION = 4.0

LATE = 1.05
"""A late answer widens the margin by so much."""

IN_TIME = 1 - 1.5e-4
"""An answer in time narrows it by so much: it is steady with one late answer in some 300."""


class Admission:
    """One batcher's door. Not thread-safe.

    Args:
        pace: how long batches take.
        instances: copies that run side by side.
    """

    def __init__(self, pace: Pace, instances: int) -> None:
        self._pace = pace
        self._instances = max(1, instances)
        self.margin = CAUTION

    def predict_s(self, ahead: int, rows: int, busy_s: float) -> float | None:
        """Seconds until the answer of a newcomer; ``None`` while nothing has been measured.

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
        return busy_s + ahead * batch_s / size / self._instances + own_s

    def check(self, left_s: float, ahead: int, rows: int, busy_s: float) -> None:
        """Let a newcomer in.

        Args:
            left_s: seconds until its deadline.
            ahead: see `predict_s`.
            rows: see `predict_s`.
            busy_s: see `predict_s`.

        Raises:
            Overloaded: it could not be answered in time; says when there will be room.
        """
        if not ahead and busy_s <= 0:
            # Nothing is in its way; and what is never let in is never measured again.
            return
        predicted_s = self.predict_s(ahead, rows, busy_s)
        if predicted_s is None or predicted_s * self.margin <= left_s:
            return
        raise Overloaded(
            f"the answer would take {predicted_s:.3f} s, and {left_s:.3f} s are left",
            retry_after_s=max(predicted_s * self.margin - left_s, predicted_s / (ahead + 1)),
        )

    def answered(self, in_time: int, late: int) -> None:
        """So many accepted requests were answered in time, so many too late."""
        margin = self.margin * IN_TIME**in_time * LATE**late
        self.margin = min(MOST_CAUTION, max(CAUTION, margin))
