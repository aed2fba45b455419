"""What a probability was worth: how often it came true when it was said."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from secondlook.cloud.prefetch.history import Floats

EDGES = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96])
_EDGES = EDGES.tolist()
_BINS = len(EDGES) + 1
KEPT = 400.0
"""Forecasts of a bin that count; older ones fade, so that what has changed is unlearnt."""

DOUBT = 4.0
"""Forecasts that have to come true before a bin is believed: until then it counts for less."""


class Calibration:
    """Forecasts by what they said, and how many came true.

    A forecast of 0.9 that comes true six times in ten is given out as 0.6: a predictor that knows
    nothing about some traffic takes itself out of the game.
    """

    def __init__(self) -> None:
        self._said = np.zeros(_BINS)
        self._true = np.zeros(_BINS)
        self._count = np.zeros(_BINS)

    def learn(self, forecast: float, came: bool) -> None:
        """A forecast fell due."""
        place = bisect_right(_EDGES, forecast)
        fade = 1.0 - 1.0 / KEPT
        self._said[place] = self._said[place] * fade + forecast
        self._true[place] = self._true[place] * fade + came
        self._count[place] = self._count[place] * fade + 1.0

    def measured(self, forecasts: Floats) -> Floats:
        """(n,) what the forecasts are worth, never more than they say by much."""
        place = np.searchsorted(EDGES, forecasts, side="right")
        count = self._count[place]
        # A bin without past says half of what it would; a proven one is shifted to its record.
        bias = (self._true[place] - self._said[place]) / (count + 1.0)
        trust = (count + DOUBT / 2) / (count + DOUBT)
        return np.asarray(np.clip((forecasts + bias) * trust, 0.0, 1.0), np.float64)
