"""Intervals of F1 by resampling blocks of time: neighbouring frames are no independent samples.

A clip is cut into blocks of equal length in time. Blocks are drawn with replacement, as many as
there are, and F1 is taken over what was drawn; the middle 95 % of many such draws are the interval.
Two systems that saw the same frames are compared on the same draws, so that what is hard for both
does not widen the interval of their difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure.matching import Counts

BLOCK_S = 5.0
"""Length of a block where the clip is long enough for ``LEAST_BLOCKS`` of them, seconds."""

LEAST_BLOCKS = 8
"""A shorter clip is cut into so many blocks, as far as it has frames."""

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low, high: its ends.
    """

    low: float
    high: float


class Blocks:
    """A clip cut into blocks of time, and draws of them that all systems share.

    Args:
        media_s: time of each frame, seconds, in order.
        block_s: wished length of a block, seconds.
        seed: of the draws.
        resamples: how many draws.

    Attributes:
        block_s: length of a block, seconds; shorter than wished where the clip is short.
        count: number of blocks with a frame in them.

    Raises:
        InvalidInput: a length or number that is not positive.
    """

    def __init__(
        self,
        media_s: Sequence[float],
        block_s: float = BLOCK_S,
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> None:
        if not (block_s > 0 and math.isfinite(block_s)):
            raise InvalidInput(f"block_s is {block_s}; a positive number of seconds is expected")
        if resamples < 1:
            raise InvalidInput(f"resamples is {resamples}; at least 1 is expected")
        times = np.asarray(media_s, np.float64)
        n = len(times)
        # The middle one: a gap in the recording makes no frame longer.
        frame_s = float(np.median(np.diff(times))) if n > 1 else 0.0
        whole_s = frame_s * n
        self.block_s = min(block_s, whole_s / LEAST_BLOCKS) if whole_s > 0 else block_s
        # A block never is shorter than a frame.
        self.block_s = max(self.block_s, frame_s) or block_s
        # A time on the border, but for rounding, belongs to the block that begins there.
        index = ((times - times[:1]) / self.block_s + 1e-9).astype(np.int64)
        _, self._block_of = np.unique(index, return_inverse=True)
        self.count = int(self._block_of.max()) + 1 if n else 0
        draw = np.random.default_rng(seed)
        share = np.full(max(self.count, 1), 1 / max(self.count, 1))
        self._weights: npt.NDArray[np.int64] = draw.multinomial(
            self.count, share, size=resamples
        ).astype(np.int64)

    def f1(self, counts: Sequence[Counts]) -> Interval | None:
        """95 % interval of F1; ``None`` of fewer than two blocks.

        Args:
            counts: of each frame.
        """
        return None if self.count < 2 else _interval(self._resampled(counts))

    def difference(self, ours: Sequence[Counts], theirs: Sequence[Counts]) -> Interval | None:
        """95 % interval of ``F1(ours) - F1(theirs)`` on the same frames; ``None`` as above."""
        if self.count < 2:
            return None
        return _interval(self._resampled(ours) - self._resampled(theirs))

    def _resampled(self, counts: Sequence[Counts]) -> npt.NDArray[np.float64]:
        """float64 (resamples,), F1 of each draw."""
        if len(counts) != len(self._block_of):
            raise InvalidInput(f"{len(counts)} counts for {len(self._block_of)} frames")
        sums = np.zeros((self.count, 2))
        rows = np.array(
            [
                (2 * c.true_positives, 2 * c.true_positives + c.false_positives + c.false_negatives)
                for c in counts
            ],
            np.float64,
        )
        np.add.at(sums, self._block_of, rows)
        drawn = self._weights @ sums
        # Nothing there and nothing said: as `Counts.f1`.
        return np.divide(drawn[:, 0], drawn[:, 1], out=np.ones(len(drawn)), where=drawn[:, 1] > 0)


def _interval(values: npt.NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, (tail, 100 - tail))
    return Interval(float(low), float(high))
