"""What a batcher keeps in mind beside the pace: how much arrives, whether calls are quick, and how
much at once was too much."""

from __future__ import annotations

import math

OVER_S = 1.0
"""Arrivals are averaged over so long."""

INLINE_S = 1e-4
"""A network whose calls take less runs at once, on the event loop: waking a thread costs more."""

HELD_UP = 20
"""A call may last so many times longer than it computes: it waits for the interpreter, or for a
processor that others have."""

INLINE_AFTER = 16
"""Quick calls that have to be ahead of slow ones before; a slow one counts as `SLOW` quick ones."""

ROW_S = INLINE_S / 4
"""Likewise for each row of a batch: what a call costs besides its rows is shared there."""

SLOW = 4

SLOW_S = 3 * INLINE_S
"""What counts as slow; between it and `INLINE_S` nothing changes, so that a busy machine does not
make a network change its place all the time."""

STALLED_S = 0.02
"""A call that takes so long ends it at once: the event loop must not be held up like that again."""

SPARE_S = 60.0
"""After a batch that was too large for the device, larger ones are not tried for so long."""


class Arrivals:
    """Rows that arrive, a second, averaged over the last `OVER_S`."""

    def __init__(self) -> None:
        self._per_s = 0.0
        self._at_s = 0.0

    def add(self, rows: int, now_s: float) -> None:
        """So many have come."""
        since_s = now_s - self._at_s
        if since_s > 0:
            self._per_s *= math.exp(-since_s / OVER_S)
            self._at_s = now_s
        self._per_s += rows / OVER_S

    def per_s(self, now_s: float) -> float:
        """Rows a second."""
        return self._per_s * math.exp(min(0.0, self._at_s - now_s) / OVER_S)


class Quickness:
    """Whether one row is answered sooner than a thread wakes."""

    def __init__(self) -> None:
        self._ahead = 0

    @property
    def holds(self) -> bool:
        """It has been, for a while."""
        return self._ahead >= INLINE_AFTER

    def took(self, rows: int, seconds: float) -> None:
        """A call took so much, see `effort_s`. A few that the machine held up change nothing."""
        # Under load a thread gets several rows a call, and is never seen to be quick with one.
        if seconds <= max(INLINE_S, rows * ROW_S):
            self._ahead = min(self._ahead + 1, 4 * INLINE_AFTER)
        elif seconds > STALLED_S:
            self._ahead = 0
        elif rows == 1 and seconds > SLOW_S:
            self._ahead = max(0, self._ahead - SLOW)


def effort_s(computed_s: float, lasted_s: float) -> float:
    """How long a call takes where nothing is in its way.

    Once a thread answers, each of its calls waits for the event loop to let go of the interpreter:
    judged by how long it lasted, no network would ever be quick again on a busy machine.

    Args:
        computed_s: processor time of the thread that called.
        lasted_s: what the clock says.
    """
    return lasted_s if lasted_s > STALLED_S else max(computed_s, lasted_s / HELD_UP)


class Ceiling:
    """The largest batch that the device bears, as far as batches that failed have told."""

    def __init__(self) -> None:
        self._rows = 0
        self._until_s = 0.0

    def too_large(self, rows: int, now_s: float) -> None:
        """A batch of so many rows failed, and its halves did not."""
        self._rows, self._until_s = rows // 2, now_s + SPARE_S

    def under(self, limit: int, now_s: float) -> int:
        """The limit, or less; at least 1."""
        return max(1, min(limit, self._rows) if now_s < self._until_s else limit)
