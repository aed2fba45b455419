"""When each model was asked for: what a forecast can be made from, in bounded memory.

Requests are grouped into *visits*: a request that comes more than `QUIET_S` after the last one
begins a visit. Schedules, chains and daily rhythms are patterns of visits; how many requests a
visit has says nothing about when the next one comes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

QUIET_S = 1.0
"""A longer silence ends a visit."""

GAPS = 48
"""Intervals that are remembered of a model: the pattern is that of its last 48 visits."""

_NEVER = -np.inf
_GROW = 16


class History:
    """One row a model; rows are reused. Times are monotonic seconds and never go back.

    Args:
        memories_s: over which times frequencies are averaged, seconds.
    """

    def __init__(self, memories_s: tuple[float, float] = (300.0, 3000.0)) -> None:
        self._memories_s = np.array(memories_s, np.float64)
        self.asks = np.zeros(0, np.int64)
        """(rows,) requests so far."""
        self.last_s = np.zeros(0)
        """(rows,) the last request; -inf: none yet."""
        self.start_s = np.zeros(0)
        """(rows,) the first request of the latest visit; -inf: none yet."""
        self._known_s = np.zeros(0)
        self._gaps = np.zeros((0, GAPS))
        self._visits = np.zeros(0, np.int64)
        self._counts = np.zeros((0, len(memories_s)))
        self._counted_s = np.zeros(0)

    def __len__(self) -> int:
        return len(self.asks)

    def clear(self, row: int, now_s: float) -> None:
        """A model begins in this row; rows are added as needed."""
        while row >= len(self):
            self._grow()
        self.asks[row] = self._visits[row] = 0
        self.last_s[row] = self.start_s[row] = _NEVER
        self._known_s[row] = self._counted_s[row] = now_s
        self._gaps[row] = np.nan
        self._counts[row] = 0.0

    def asked(self, row: int, now_s: float) -> float | None:
        """A request. Where it begins a visit: when the one before began (-inf: never).

        Returns:
            ``None`` within a visit.
        """
        self.asks[row] += 1
        silent_s = now_s - self.last_s[row]
        self.last_s[row] = now_s
        if silent_s <= QUIET_S:
            return None
        before_s = float(self.start_s[row])
        if before_s != _NEVER:
            self._gaps[row, self._visits[row] % GAPS] = now_s - before_s
            self._visits[row] += 1
        fade = np.exp((self._counted_s[row] - now_s) / self._memories_s)
        self._counts[row] = self._counts[row] * fade + 1.0
        self._counted_s[row] = now_s
        self.start_s[row] = now_s
        return before_s

    def rates(self, now_s: float) -> Floats:
        """(rows, 2) visits a second, lately and usually: over the short and the long memory."""
        since_s = (now_s - self._counted_s)[:, None]
        age_s = np.maximum(now_s - self._known_s, QUIET_S)[:, None]
        seen_s = self._memories_s * -np.expm1(-age_s / self._memories_s)
        faded = self._counts * np.exp(-since_s / self._memories_s)
        # Half a visit more than were seen: nothing is impossible because it did not happen yet.
        usually = (faded[:, 1] + 0.5) / (seen_s[:, 1] + self._memories_s[0])
        # A tenth of the short memory is as usual.
        doubt_s = 0.1 * self._memories_s[0]
        lately = (faded[:, 0] + usually * doubt_s) / (seen_s[:, 0] + doubt_s)
        return np.stack([lately, usually], axis=1)

    def hazard(self, now_s: float, horizon_s: Floats, prior: Floats) -> Floats:
        """How probable a visit is within the horizon, from the intervals of the past.

        Of the intervals that were longer than the time since the latest visit began, the share
        that ended within the horizon: one for a clock, the plain frequency for chance.

        Args:
            now_s: now.
            horizon_s: (n,) seconds, of the first n rows.
            prior: (n,) the answer where no interval was that long.

        Returns:
            (n,) probabilities.
        """
        gaps = self._gaps[: len(horizon_s)]
        since_s = (now_s - self.start_s[: len(horizon_s)])[:, None]
        longer = gaps > since_s
        within = longer & (gaps <= since_s + horizon_s[:, None])
        return np.asarray((within.sum(axis=1) + prior) / (longer.sum(axis=1) + 1.0), np.float64)

    def _grow(self) -> None:
        def more(array: npt.NDArray[np.generic], fill: float) -> npt.NDArray[np.generic]:
            added = np.full((_GROW, *array.shape[1:]), fill, array.dtype)
            return np.concatenate([array, added])

        self.asks = more(self.asks, 0)  # type: ignore[assignment]
        self._visits = more(self._visits, 0)  # type: ignore[assignment]
        for name in ("last_s", "start_s"):
            setattr(self, name, more(getattr(self, name), _NEVER))
        for name in ("_known_s", "_gaps", "_counts", "_counted_s"):
            setattr(self, name, more(getattr(self, name), 0.0))
