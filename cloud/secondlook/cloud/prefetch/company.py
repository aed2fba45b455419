"""Which models are asked for after which others, and how long after."""

from __future__ import annotations

import numpy as np

from secondlook.cloud.prefetch.history import Floats

LAGS = 16
"""Outcomes that are remembered of a pair."""

TRIGGERS = 16
"""Most models whose visits may announce one visit: the latest ones."""


class Company:
    """Pairs of models, one of which is visited after the other, in bounded memory.

    Of each pair the last outcomes of the first one's visits are kept: the seconds until the
    second one's, or infinity where it did not come before the first one came again.

    Args:
        reach_s: later visits are no consequence.
        bound: most pairs; the one that came true longest ago makes room.
    """

    def __init__(self, reach_s: float = 300.0, bound: int = 4096) -> None:
        self._reach_s = reach_s
        self._slots: dict[tuple[int, int], int] = {}
        self._first = np.zeros(bound, np.int64)
        self._second = np.zeros(bound, np.int64)
        self._lags = np.full((bound, LAGS), np.nan)
        self._seen = np.zeros(bound, np.int64)
        self._of_first: dict[int, set[int]] = {}
        self._recent: dict[int, float] = {}
        self._free = list(range(bound))

    def forget(self, row: int) -> None:
        """The model of this row is gone."""
        self._recent.pop(row, None)
        for pair in [pair for pair in self._slots if row in pair]:
            self._drop(pair)

    def visited(self, row: int, now_s: float, before_s: float) -> None:
        """A visit of ``row`` begins; its last one began at ``before_s`` (-inf: never)."""
        last_s = self._recent.pop(row, None)
        if last_s is not None:
            for slot in self._of_first.get(row, ()):
                self._record_miss(slot, last_s)
        announcing = [
            (other, at_s)
            for other, at_s in reversed(self._recent.items())
            if before_s < at_s and now_s - at_s <= self._reach_s
        ][:TRIGGERS]
        for other, at_s in announcing:
            slot = self._slot((other, row))
            self._push(slot, now_s - at_s)
        # The latest is last: what is announced most recently comes first above.
        self._recent[row] = now_s

    def hazard(self, now_s: float, horizon_s: Floats, prior: Floats, start_s: Floats) -> Floats:
        """How probable a visit is within the horizon, by the best announcement.

        Args:
            now_s: now.
            horizon_s: (n,) seconds, of the first n rows.
            prior: (n,) the answer where nothing announces it.
            start_s: (n or more,) when the latest visit of each began.

        Returns:
            (n,) probabilities.
        """
        best = np.array(prior, np.float64)
        slots, since = [], []
        for row, at_s in reversed(self._recent.items()):
            since_s = now_s - at_s
            if since_s > self._reach_s:
                break
            for slot in self._of_first.get(row, ()):
                # What came after it already is not announced by it any more.
                if start_s[self._second[slot]] < at_s:
                    slots.append(slot)
                    since.append(since_s)
        if not slots:
            return best
        index = np.array(slots)
        elapsed = np.array(since)[:, None]
        second = self._second[index]
        lags = self._lags[index]
        longer = lags > elapsed
        within = longer & (lags <= elapsed + horizon_s[second][:, None])
        share = (within.sum(axis=1) + prior[second]) / (longer.sum(axis=1) + 1.0)
        np.maximum.at(best, second, share)
        return best

    def _record_miss(self, slot: int, last_s: float) -> None:
        """The first of the pair comes again: had the second followed its last visit?"""
        if self._answered_s(slot) < last_s:
            self._push(slot, np.inf)

    def _answered_s(self, slot: int) -> float:
        return self._recent.get(int(self._second[slot]), -np.inf)

    def _push(self, slot: int, lag_s: float) -> None:
        self._lags[slot, self._seen[slot] % LAGS] = lag_s
        self._seen[slot] += 1

    def _slot(self, pair: tuple[int, int]) -> int:
        slot = self._slots.pop(pair, None)
        if slot is None:
            if not self._free:
                self._drop(next(iter(self._slots)))
            slot = self._free.pop()
            self._first[slot], self._second[slot] = pair
            self._lags[slot] = np.nan
            self._seen[slot] = 0
            self._of_first.setdefault(pair[0], set()).add(slot)
        self._slots[pair] = slot
        return slot

    def _drop(self, pair: tuple[int, int]) -> None:
        slot = self._slots.pop(pair)
        self._of_first[pair[0]].discard(slot)
        self._free.append(slot)
