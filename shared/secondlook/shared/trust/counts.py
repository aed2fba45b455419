"""What the audits of a window add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.bounds import check_probability

Counts = npt.NDArray[np.int64]

MAX_PROBABILITIES = 64
"""Most different audit probabilities in one window."""


def check_thresholds(values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The grid of thresholds: float64 (G,), ascending from 0.

    Raises:
        InvalidInput: it does not ascend, does not begin with 0, or leaves 0 to 1.
    """
    grid = np.asarray(values, np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not np.isfinite(grid).all():
        raise InvalidInput("thresholds: two or more finite numbers expected")
    if grid[0] != 0 or grid[-1] > 1 or (np.diff(grid) <= 0).any():
        raise InvalidInput("thresholds: must begin with 0, ascend, and end at 1 or below")
    return grid


def check_lowest_risk(value: object) -> float:
    """The outcome of an audit: 0 to 1, or infinite where nothing is missed.

    Raises:
        InvalidInput: NaN, negative, or a finite number above 1.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        raise InvalidInput(f"lowest risk is {value!r}; a number expected")
    if math.isnan(value) or value < 0 or (value > 1 and math.isfinite(value)):
        raise InvalidInput(
            f"lowest risk is {value!r}; 0 to 1 expected, or infinity where nothing is missed"
        )
    return float(value)


class AuditCounts:
    """Frames, audits and misses at each threshold, by the probability of the audit.

    An audited frame boils down to one number, its *lowest risk*: the least risk among the objects
    that the answer would have missed, 0 where no candidate covers one, infinite where nothing is
    missed. At threshold τ the frame is lost exactly where the lowest risk is below τ: all
    candidates from τ on would have been asked about, and so put right.

    Frames of probability 1 are known: no coin chose them.

    Args:
        thresholds: ascending from 0; of length G.

    Raises:
        InvalidInput: the thresholds are wrong.
    """

    def __init__(self, thresholds: Sequence[float] | npt.NDArray[np.float64]) -> None:
        self.thresholds = check_thresholds(thresholds)
        self._frames: dict[float, int] = {}
        self._looks: dict[float, tuple[int, Counts]] = {}

    def saw(self, probability: float, frames: int = 1) -> None:
        """Count frames that could be audited with that probability, whether they were or not.

        Raises:
            InvalidInput: no probability, too many different ones, or a negative number of frames.
        """
        value = check_probability(probability)
        if frames < 0:
            raise InvalidInput(f"{frames} frames")
        if value not in self._frames and len(self._frames) >= MAX_PROBABILITIES:
            raise InvalidInput(f"more than {MAX_PROBABILITIES} audit probabilities in one window")
        self._frames[value] = self._frames.get(value, 0) + frames

    def recount(self, probability: float) -> None:
        """One known frame was not looked at after all: a coin could have chosen it with this one.

        Raises:
            InvalidInput: no probability below 1, or the outcomes of all known frames are in.
        """
        value = check_probability(probability)
        if value == 1 or self.known <= self.known_looks:
            raise InvalidInput(f"no known frame can be counted with audit probability {value}")
        self.saw(value)
        self._frames[1.0] -= 1
        if not self._frames[1.0]:
            del self._frames[1.0]

    def looked(self, probability: float, lowest_risk: float) -> None:
        """Take in the outcome of one audit.

        Raises:
            InvalidInput: no such outcome, or no frame of that probability was counted.
        """
        value, risk = check_probability(probability), check_lowest_risk(lowest_risk)
        self.add(value, 1, (self.thresholds > risk).astype(np.int64))

    def add(self, probability: float, audits: int, misses: npt.ArrayLike) -> None:
        """Take in many audits at once.

        Args:
            probability: of each of them.
            audits: how many.
            misses: int64 (G,): how many of them missed at each threshold; never falls.

        Raises:
            InvalidInput: the numbers contradict each other.
        """
        value = check_probability(probability)
        more = np.asarray(misses)
        if more.shape != self.thresholds.shape or not np.issubdtype(more.dtype, np.integer):
            raise InvalidInput(f"misses: {len(self.thresholds)} whole numbers expected")
        if audits < 0 or more[0] < 0 or more[-1] > audits or (np.diff(more) < 0).any():
            raise InvalidInput("misses: 0 to the number of audits, and never falling, expected")
        known, before = self._looks.get(value, (0, np.zeros(len(more), np.int64)))
        if known + audits > self._frames.get(value, 0):
            raise InvalidInput(f"more audits than frames of audit probability {value}")
        self._looks[value] = (known + audits, before + more)

    @property
    def frames(self) -> int:
        """T: all frames."""
        return sum(self._frames.values())

    @property
    def known(self) -> int:
        """Frames of probability 1."""
        return self._frames.get(1.0, 0)

    @property
    def accepted(self) -> int:
        """N_a: frames that a coin could leave un-audited."""
        return self.frames - self.known

    @property
    def audits(self) -> int:
        """n: audits that a coin chose."""
        return sum(audits for p, (audits, _) in self._looks.items() if p < 1)

    @property
    def misses(self) -> Counts:
        """k: of these, missed at each threshold; int64 (G,)."""
        return self._sum(known=False)

    @property
    def known_looks(self) -> int:
        """Frames of probability 1 whose outcome is in."""
        return self._looks.get(1.0, (0, None))[0]

    @property
    def known_misses(self) -> Counts:
        """K: of the known frames, missed at each threshold; int64 (G,)."""
        return self._sum(known=True)

    @property
    def probability(self) -> float | None:
        """The one audit probability below 1; ``None`` without one, or with several."""
        found = self.probabilities
        return found[0] if len(found) == 1 else None

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The different audit probabilities below 1, ascending."""
        return tuple(sorted(p for p in self._frames if p < 1))

    @property
    def by_probability(self) -> dict[float, tuple[int, Counts]]:
        """For each probability, 1 included: audits, and misses int64 (G,)."""
        return dict(self._looks)

    def misses_at(self, tau: float) -> int:
        """Misses of audits by coin at the highest threshold that is not above ``tau``."""
        index = int(np.searchsorted(self.thresholds, tau, side="right")) - 1
        return int(self.misses[max(0, index)])

    def _sum(self, *, known: bool) -> Counts:
        total = np.zeros(len(self.thresholds), np.int64)
        for probability, (_, misses) in self._looks.items():
            if (probability == 1) == known:
                total += misses
        return total
