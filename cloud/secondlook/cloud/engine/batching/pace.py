"""Learns how long a batch takes by its size, and from that which size serves best.

For each size that was run it keeps the last few durations; their median is what the size takes,
so that one hiccup changes nothing and a change of the machine is learned in a few runs. Sizes
between are interpolated, larger ones extrapolated along the last slope. The first run of a size
may pay for its preparation (kernels chosen, memory taken): it counts only until there is another.

A larger batch gives more rows a second, on a GPU many more, on a CPU hardly any; and it takes
longer, so that whoever comes while it runs waits longer. `best` weighs the two: each doubling of
the time has to gain a tenth of throughput, beyond what few runs of noisy durations leave in doubt.
To learn, the largest size that is known is doubled while enough rows wait and the last doubling has
paid, and a size near the best that was not run for long is looked at again now and then.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

KEEP = 21
"""Durations kept of each size. With fewer, noise of a third of a duration would choose the size."""

WORTH = 0.15
"""Exponent: a batch that takes twice as long has to give ``2 ** WORTH`` as many rows a second."""

NOISE_WEIGHT = 0.05
"""Weight of the last batch in how far durations lie from their medians."""

CHANGE = 0.05
"""A duration that moves by less, as a share, changes no choice."""

LOOK_AGAIN = 64
"""Batches between two looks at a size that was not run for long."""


class Pace:
    """Seconds by rows of a batch. Not thread-safe.

    Args:
        limit: most rows of a batch.
        preferred: the sizes to choose from, beside exactly what waits; empty: powers of two.
    """

    def __init__(self, limit: int, preferred: Sequence[int] = ()) -> None:
        self._limit = max(1, limit)
        self._preferred = tuple(preferred)
        self._runs: dict[int, deque[float]] = {}
        self._medians: dict[int, float] = {}
        self._sizes: list[int] = []
        self._last_run: dict[int, int] = {}
        self._batches = 0
        self._look_at = LOOK_AGAIN
        # Sizes that were run only once.
        self._unsure: set[int] = set()
        # How far durations lie from the medians, as a share.
        self._noise = 0.0
        self._best: dict[int, int] = {}

    @property
    def known(self) -> dict[int, float]:
        """Seconds of each size that was run."""
        return dict(self._medians)

    def record(self, rows: int, seconds: float) -> None:
        """A batch of ``rows`` took ``seconds``."""
        self._batches += 1
        runs = self._runs.get(rows)
        if runs and self._batches - self._last_run[rows] > LOOK_AGAIN:
            # That was another time, perhaps a busier one: sizes are compared as they are now.
            runs.clear()
        self._last_run[rows] = self._batches
        if runs is None:
            runs = self._runs[rows] = deque(maxlen=KEEP)
            insort(self._sizes, rows)
            self._unsure.add(rows)
        elif rows in self._unsure:
            self._unsure.discard(rows)
            runs.clear()
        runs.append(seconds)
        # The lower median: of two, the one that nothing disturbed.
        median = sorted(runs)[(len(runs) - 1) // 2]
        before = self._medians.get(rows)
        self._medians[rows] = median
        if before:
            self._noise += NOISE_WEIGHT * (min(1.0, abs(seconds / before - 1)) - self._noise)
        if before is None or len(runs) < KEEP or abs(median - before) > CHANGE * before:
            self._best.clear()

    def seconds(self, rows: int) -> float | None:
        """What a batch of so many rows takes; ``None`` as long as nothing was run."""
        sizes, medians = self._sizes, self._medians
        if not sizes:
            return None
        exact = medians.get(rows)
        if exact is not None:
            return exact
        place = bisect_left(sizes, rows)
        if place == 0:
            # Smaller than all: between in proportion and not at all smaller, take the middle.
            return medians[sizes[0]] * (1 + rows / sizes[0]) / 2
        low = sizes[place - 1]
        if place < len(sizes):
            high = sizes[place]
            share = (rows - low) / (high - low)
            return medians[low] + share * (medians[high] - medians[low])
        return medians[low] * rows / low if place == 1 else self._beyond(rows)

    def least_s(self, rows: int) -> float:
        """What a batch of so many rows has taken at the very least; 0 where it is not known."""
        runs = self._runs.get(rows)
        return min(runs) if runs and len(runs) >= KEEP else 0.0

    def rate(self, waiting: int) -> float | None:
        """Rows a second at the size that `best` gives; ``None``: not known."""
        size = self.best(waiting)
        seconds = self.seconds(size)
        return None if not seconds else size / seconds

    def best(self, waiting: int) -> int:
        """The size that serves best; see above.

        Args:
            waiting: rows that wait; no size is larger.
        """
        most = max(1, min(waiting, self._limit))
        found = self._best.get(most)
        if found is None:
            found = self._best[most] = self._find_best(most)
        return found

    def size(self, waiting: int, limit: int, slack_s: float | None = None) -> int:
        """How many rows to take now.

        Args:
            waiting: rows that wait; at least 1.
            limit: most rows now.
            slack_s: until the most urgent deadline; a batch that takes longer is made smaller.
        """
        most = max(1, min(waiting, limit, self._limit))
        if most == 1:
            return 1
        size = self._curious(most) or self.best(most)
        if slack_s is not None:
            while size > 1 and (self.seconds(size) or 0.0) > slack_s:
                size //= 2
        return size

    def _curious(self, most: int) -> int | None:
        """A size to try so as to learn, among those that there is work for."""
        if not self._sizes:
            return 1
        largest = self._sizes[-1]
        if largest in self._unsure:
            return largest if largest <= most else None
        step = self._step(largest)
        if largest < step <= most and self._paid(largest):
            return step
        if self._batches < self._look_at:
            return None
        near = [size for size in self._candidates(most) if size <= 2 * self.best(most)]
        oldest = min(near, key=lambda size: self._last_run.get(size, 0))
        if self._batches - self._last_run.get(oldest, 0) < LOOK_AGAIN:
            return None
        self._look_at = self._batches + LOOK_AGAIN
        return oldest

    def _step(self, largest: int) -> int:
        """The size to try after the largest."""
        if self._preferred:
            return next((size for size in self._preferred if size > largest), self._limit)
        return min(2 * largest, self._limit)

    def _paid(self, largest: int) -> bool:
        """Whether the largest size gives more than the one that was tried before it."""
        if len(self._sizes) < 2:
            return True
        below = next((s for s in reversed(self._sizes) if 2 * s <= largest), self._sizes[0])
        return self._worth(largest) > self._worth(below)

    def _candidates(self, most: int) -> list[int]:
        if self._preferred:
            sizes = [size for size in self._preferred if size < most]
        else:
            sizes = []
            size = 1
            while size < most:
                sizes.append(size)
                size *= 2
        return [*sizes, most]

    def _find_best(self, most: int) -> int:
        # What is beyond the largest size that was run is a guess, and would be a hopeful one.
        most = min(most, self._sizes[-1]) if self._sizes else 1
        return max(self._candidates(most), key=self._worth)

    def _worth(self, size: int) -> float:
        """Rows a second, and what they cost those who wait; less where it is not sure.

        Few runs of a noisy duration often look better than they are, and of several sizes that one
        would win which was lucky.
        """
        seconds = self.seconds(size)
        if seconds is None:
            return 0.0
        runs = self._runs.get(size)
        doubt = 1 + self._noise / math.sqrt(len(runs)) if runs else 1.0
        cost: float = max(seconds * doubt, 1e-9) ** (1 + WORTH)
        return size / cost

    def _beyond(self, rows: int) -> float:
        """Beyond the largest size: along the slope of the two largest, not below it."""
        low, high = self._sizes[-2], self._sizes[-1]
        slope = max(0.0, (self._medians[high] - self._medians[low]) / (high - low))
        return self._medians[high] + slope * (rows - high)
