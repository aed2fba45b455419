"""Breakers around what runs elsewhere, where a deadline may be the caller's own fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from secondlook.cloud.stability.guard import Guard
from secondlook.shared.errors import DeadlineExceeded

FAIR_S = 1.0
"""Whoever gives less time than this has no complaint about the other side."""


@contextmanager
def watched(guard: Guard | None, rows: int, budget_s: float) -> Iterator[None]:
    """One call of a server or deployment; what leaves the block is held against it.

    Args:
        guard: stands before it; ``None``: nothing does.
        rows: rows of the request.
        budget_s: how long the call may take, seconds.

    Raises:
        Unavailable: on entering; it is cut off.
    """
    if guard is None:
        yield
        return
    late: DeadlineExceeded | None = None
    with guard.call(rows):
        try:
            yield
        except DeadlineExceeded as error:
            if budget_s >= FAIR_S:
                raise
            late = error
    if late is not None:
        raise late
