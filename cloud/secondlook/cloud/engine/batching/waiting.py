"""Whether an idle device should wait for a fuller batch."""

from __future__ import annotations

from collections.abc import Sequence

from secondlook.cloud.engine.batching.pace import Pace

WORTH = 1.1
"""A fuller batch has to give so many times more rows a second."""


def worth_waiting(
    pace: Pace, rows: int, limit: int, preferred: Sequence[int], expected: int
) -> int:
    """The rows to wait for; 0: run at once.

    Args:
        pace: how long batches take.
        rows: rows that wait.
        limit: most rows of a batch.
        preferred: sizes, ascending, at which there is no more waiting; empty: any.
        expected: rows that should come while there is time to wait.
    """
    if rows in preferred or rows >= limit or expected < 1:
        return 0
    target = next((size for size in preferred if size > rows), limit)
    target = min(target, limit, rows + expected)
    now_s, then_s = pace.seconds(rows), pace.seconds(target)
    if now_s is None or then_s is None:
        return 0
    return target if target * now_s >= WORTH * rows * then_s else 0
