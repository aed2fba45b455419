"""Loads what will probably be asked for, evicts what will probably not."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from secondlook.cloud.prefetch.company import Company
from secondlook.cloud.prefetch.daytime import Daytime
from secondlook.cloud.prefetch.forecast import Forecast, evidence
from secondlook.cloud.prefetch.history import Floats, History
from secondlook.cloud.prefetch.residency import Advice, When
from secondlook.cloud.prefetch.rivals import Contest

EVERY_S = 1.0
"""How often to ask for advice, seconds: the forecasts are made anew, and learnt from, each time."""

AT_ONCE = 0.8
"""Above this probability a model is loaded at once."""

WHEN_IDLE = 0.5
"""From this probability on it is loaded when nothing else is to be done."""

MARGIN = 0.1
"""A model is loaded ahead only in place of one that is less probable by as much."""

FURTHER = 4.0
"""Evictions look this many times as far ahead as loads."""


class Prefetcher:
    """See `Residency`. Memory and time grow with the models, not with the requests.

    The horizon of a model is the time that it takes to load, and ``spare_s``: what is asked for
    within it is loaded now or too late.

    Args:
        spare_s: how long before it is needed a model may be there, seconds.
        at_once: load at once above this probability.
        when_idle: load when idle from this probability on.
        day_s: how long a day is, seconds; benchmarks have shorter ones.
        seed: of the choice of what is learnt from.

    Raises:
        MissingDependency: river is not installed.
    """

    def __init__(
        self,
        *,
        spare_s: float = 10.0,
        at_once: float = AT_ONCE,
        when_idle: float = WHEN_IDLE,
        day_s: float = 86400.0,
        seed: int = 0,
    ) -> None:
        self._spare_s = spare_s
        self._at_once = at_once
        self._when_idle = when_idle
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._load_s = np.zeros(0)
        self._history = History()
        self._company = Company()
        self._daytime = Daytime(day_s)
        self._soon = Forecast(seed)
        self._later = Forecast(seed + 1)
        self._soon_p = np.zeros(0)
        self._later_p = np.zeros(0)
        self._looked_s = -math.inf
        self._contest = Contest()
        self._room = 1

    def know(self, model: str, now_s: float, load_s: float) -> None:
        """See `Residency.know`."""
        row = self._rows.get(model)
        if row is None:
            row = self._free.pop() if self._free else len(self._rows)
            self._rows[model] = row
            self._history.clear(row, now_s)
            self._daytime.clear(row)
            if row == len(self._load_s):
                self._load_s, self._soon_p, self._later_p = (
                    np.append(array, 0.0) for array in (self._load_s, self._soon_p, self._later_p)
                )
            self._soon_p[row] = self._later_p[row] = 0.0
        self._load_s[row] = load_s

    def forget(self, model: str) -> None:
        """See `Residency.forget`."""
        row = self._rows.pop(model, None)
        if row is None:
            return
        self._free.append(row)
        self._company.forget(row)
        self._contest.forget(model)
        self._soon.forget(row)
        self._later.forget(row)

    def asked(self, model: str, now_s: float) -> None:
        """See `Residency.asked`."""
        row = self._rows.get(model)
        if row is None:
            return
        # What fell due before this request is labelled without it.
        self._soon.settle(now_s, self._history.asks)
        self._later.settle(now_s, self._history.asks)
        self._contest.asked(model, self._room, self._need)
        before_s = self._history.asked(row, now_s)
        if before_s is not None:
            self._company.visited(row, now_s, before_s)
            self._daytime.visited(row, now_s)

    def advice(self, resident: Collection[str], now_s: float) -> list[Advice]:
        """See `Residency.advice`."""
        self._look(now_s)
        held = set(resident)
        self._room = len(held)
        found = [
            Advice(model, p, When.NOW if p > self._at_once else When.IDLE)
            for model, row in self._rows.items()
            if (p := float(self._soon_p[row])) >= self._when_idle and model not in held
        ]
        return sorted(found, key=lambda advice: (-advice.probability, advice.model))

    def victim(
        self, candidates: Collection[str], now_s: float, instead_of: str | None = None
    ) -> str | None:
        """See `Residency.victim`."""
        self._look(now_s)
        if instead_of is None and not self._contest.won:
            return min(candidates, key=lambda model: (self._last_s(model), model), default=None)
        least = min(
            candidates,
            # Needs that are as good as equal are not told apart by their noise.
            key=lambda model: (round(self._need(model), 2), self._last_s(model), model),
            default=None,
        )
        if least is None or instead_of is None:
            return least
        return least if self._soon_of(least) + MARGIN < self._soon_of(instead_of) else None

    def _look(self, now_s: float) -> None:
        """Learn what fell due, and forecast anew; once for each moment."""
        if now_s <= self._looked_s:
            return
        self._looked_s = now_s
        asks = self._history.asks
        horizon_s = self._load_s + self._spare_s
        for forecast, reach_s, kept in (
            (self._soon, horizon_s, self._soon_p),
            (self._later, horizon_s * FURTHER, self._later_p),
        ):
            forecast.settle(now_s, asks)
            forecast.learn()
            seen = self._evidence(now_s, reach_s)
            said, kept[:] = forecast.probability(seen)
            rows = np.array(sorted(self._rows.values()), np.int64)
            forecast.remember(now_s, rows, reach_s, seen, said, asks)

    def _evidence(self, now_s: float, horizon_s: Floats) -> Floats:
        rows = len(horizon_s)
        history = self._history
        lately, usually = history.rates(now_s)[:rows].T
        daily = self._daytime.expected(rows, now_s, usually)
        usual = -np.expm1(-usually * horizon_s)
        return evidence(
            usual=usual,
            lately=-np.expm1(-lately * horizon_s),
            daytime=-np.expm1(-daily * horizon_s),
            interval=history.hazard(now_s, horizon_s, usual),
            company=self._company.hazard(now_s, horizon_s, usual, history.start_s),
            going=2.0 * np.exp((history.last_s[:rows] - now_s) / horizon_s),
        )

    def _soon_of(self, model: str) -> float:
        row = self._rows.get(model)
        return 0.0 if row is None else float(self._soon_p[row])

    def _need(self, model: str) -> float:
        """Soon counts twice, as it is later as well: what is nearer is needed more."""
        row = self._rows.get(model)
        return 0.0 if row is None else float(self._soon_p[row] + self._later_p[row])

    def _last_s(self, model: str) -> float:
        row = self._rows.get(model)
        return -math.inf if row is None else float(self._history.last_s[row])
