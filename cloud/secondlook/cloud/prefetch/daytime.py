"""How often each model is visited at this time of the day."""

from __future__ import annotations

import numpy as np

from secondlook.cloud.prefetch.history import Floats

PARTS = 48
FADE = 0.7
"""What yesterday counts beside today."""


class Daytime:
    """Visits by part of the day, older days fading.

    Args:
        day_s: how long a day is, seconds.
    """

    def __init__(self, day_s: float = 86400.0) -> None:
        self._part_s = day_s / PARTS
        self._counts = np.zeros((0, PARTS))
        self._weights = np.zeros(PARTS)
        self._turn: int | None = None

    def clear(self, row: int) -> None:
        """A model begins in this row; rows are added as needed."""
        if row >= len(self._counts):
            more = np.zeros((row + 16 - len(self._counts), PARTS))
            self._counts = np.concatenate([self._counts, more])
        self._counts[row] = 0.0

    def visited(self, row: int, now_s: float) -> None:
        """A visit begins."""
        self._advance(now_s)
        self._counts[row, int(now_s // self._part_s) % PARTS] += 1.0

    def expected(self, rows: int, now_s: float, usual: Floats) -> Floats:
        """(rows,) visits a second at this time of the day.

        Args:
            rows: how many.
            now_s: now.
            usual: (rows,) visits a second at any time; what counts until a day has passed.
        """
        self._advance(now_s)
        turn = int(now_s // self._part_s)
        part = turn % PARTS
        # The part that runs is not over: what it was yesterday, and what the next one was.
        into = now_s / self._part_s - turn
        weight = self._weights[part] * (1 - into) + self._weights[(part + 1) % PARTS] * into
        if weight < 0.5:
            return usual
        column = self._counts[:rows, part] * (1 - into)
        column = column + self._counts[:rows, (part + 1) % PARTS] * into
        return np.asarray((column + usual * self._part_s) / ((weight + 1) * self._part_s))

    def _advance(self, now_s: float) -> None:
        turn = int(now_s // self._part_s)
        if self._turn is None:
            self._turn = turn
        if turn - self._turn > 2 * PARTS:
            self._turn = turn - PARTS
        while self._turn < turn:
            # The part that ended is complete; the one that begins is a day old.
            self._weights[self._turn % PARTS] += 1.0
            self._turn += 1
            self._weights[self._turn % PARTS] *= FADE
            self._counts[:, self._turn % PARTS] *= FADE
