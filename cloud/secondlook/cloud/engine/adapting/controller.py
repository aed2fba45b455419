"""Chooses version, variant and batch limit so that a latency objective holds.

Pure: it is told what was seen in each window of time, and says what to do and why. It prefers the
candidates in the order in which they are given, the most accurate first, and moves

- *down*, to the next that should hold the objective, when the objective was missed, or the device
  could not keep up, in `MISSED` windows in a row;
- *up*, to a better one, when that one should hold the objective with room to spare in `CALM`
  windows in a row. Where a move up had to be taken back soon, the next has to wait twice as long:
  so a load at the edge does not make it swing.

What a candidate should take is predicted from its measured pace: a queue with random arrivals and
a steady server (the Pollaczek-Khinchine formula for a fixed time of service), scaled by how much
more was really seen than predicted for the one in use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MISSED = 3
"""Windows in a row that have to be bad before a cheaper candidate is taken."""

CALM = 30
"""Windows in a row that have to allow a better candidate before it is taken."""

LONGEST_CALM = 64 * CALM

SPARE = 0.7
"""A better candidate has to hold so much of the objective, and of the device."""

FULL = 0.95
"""Beyond this share of what a device can do, there is no steady queue."""

TAIL = 3.0
"""The 95th percentile of the wait, by its mean, where waits fall off exponentially."""

STEADY = 3
"""Windows in a row that want another batch limit before it moves."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may answer.

    Attributes:
        version: its version.
        variant: its precision.
        loss: measured loss of accuracy against the best, as a share; ``None``: not measured, and
            so not to be used.
        max_batch: most rows of a batch.
        seconds: measured seconds by rows of a batch; empty: it has not run yet.
        speed: how many times faster than the first candidate it was measured elsewhere; stands in
            for ``seconds`` until it has run.
    """

    version: str
    variant: str
    loss: float | None
    max_batch: int = 1
    seconds: Mapping[int, float] = field(default_factory=dict)
    speed: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it apart."""
        return self.version, self.variant


@dataclass(frozen=True, slots=True)
class Seen:
    """One window of time.

    Attributes:
        p95_s: 95th percentile of the time from acceptance to answer; ``None``: nothing was
            answered.
        waiting: requests that wait at its end.
        arrivals_per_s: rows that were asked for, let in or not.
        instances: copies of the candidate in use that run side by side.
    """

    p95_s: float | None
    waiting: int
    arrivals_per_s: float
    instances: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """What to use from now on.

    Attributes:
        version: the version.
        variant: the precision.
        limit: most rows of a batch.
        reason: why, a sentence.
    """

    version: str
    variant: str
    limit: int
    reason: str


class Controller:
    """One model's.

    Args:
        objective_s: the latency to hold, 95th percentile from acceptance to answer, seconds.
    """

    def __init__(self, objective_s: float) -> None:
        self._objective_s = objective_s
        self._current: tuple[str, str] | None = None
        self._limit = 1
        self._wanted_limit = (1, 0)
        self._missed = 0
        self._calm = 0
        self._needed_calm = CALM
        self._since_up: int | None = None
        self._bias = 1.0
        self._reason = ""

    def decide(self, seen: Seen, candidates: Sequence[Candidate]) -> Choice:
        """What to use in the next window.

        Args:
            seen: the last window.
            candidates: what is ready, the preferred first; those without a measured loss are
                passed over, but for the first, which is what the others are measured against.

        Raises:
            ValueError: there is no candidate.
        """
        usable = [c for n, c in enumerate(candidates) if n == 0 or c.loss is not None]
        if not usable:
            raise ValueError("no candidate")
        place = next((n for n, c in enumerate(usable) if c.key == self._current), None)
        if place is None:
            # The one in use is gone, or this is the beginning.
            place = 0
            self._enter(usable[0], "the preferred one")
        self._learn_bias(seen, usable, place)
        moved = self._down(seen, usable, place)
        if moved is None:
            moved = self._up(seen, usable, place)
        if moved is not None:
            place = moved
        candidate = usable[place]
        self._choose_limit(candidate)
        return Choice(candidate.version, candidate.variant, self._limit, self._reason)

    def predict_s(self, candidate: Candidate, first: Candidate, seen: Seen) -> float | None:
        """The 95th percentile that it should have under the load seen; ``None``: not known."""
        times = _times(candidate, first)
        if not times:
            return None
        return self._bias * min(_latency_s(rows, seconds, seen) for rows, seconds in times.items())

    def _down(self, seen: Seen, usable: Sequence[Candidate], place: int) -> int | None:
        predicted_s = self.predict_s(usable[place], usable[0], seen)
        slow = seen.p95_s is not None and seen.p95_s > self._objective_s
        full = predicted_s == math.inf and (seen.p95_s is None or seen.waiting > 0)
        self._missed = self._missed + 1 if slow or full else 0
        if self._missed < MISSED or place + 1 == len(usable):
            return None
        current, below = usable[place], range(place + 1, len(usable))
        predictions = {n: self.predict_s(usable[n], usable[0], seen) for n in below}
        holds = [n for n, s in predictions.items() if s is None or s <= self._objective_s]
        # Where none should hold it, the one that comes nearest.
        target = holds[0] if holds else min(below, key=lambda n: predictions[n] or math.inf)
        if not holds and (predictions[target] or math.inf) >= (predicted_s or math.inf):
            return None
        took = "could not keep up" if not slow else f"took {_ms(seen.p95_s)}"
        if self._since_up is not None:
            # The last move up did not last.
            self._needed_calm = min(LONGEST_CALM, 2 * self._needed_calm)
        self._enter(
            usable[target],
            f"{_name(current)} {took} at {seen.arrivals_per_s:.3g} rows/s, "
            f"objective {_ms(self._objective_s)}{_costs(usable[target])}",
        )
        return target

    def _up(self, seen: Seen, usable: Sequence[Candidate], place: int) -> int | None:
        if self._since_up is not None:
            self._since_up += 1
            if self._since_up > 2 * self._needed_calm:
                # It lasted.
                self._since_up, self._needed_calm = None, CALM
        if not place:
            self._calm = 0
            return None
        wanted_s = SPARE * self._objective_s
        spared = Seen(seen.p95_s, seen.waiting, seen.arrivals_per_s / SPARE, seen.instances)
        target = None
        for n in range(place):
            predicted_s = self.predict_s(usable[n], usable[0], spared)
            if predicted_s is not None and predicted_s <= wanted_s:
                target = n
                break
        self._calm = self._calm + 1 if target is not None else 0
        if target is None or self._calm < self._needed_calm:
            return None
        self._enter(
            usable[target],
            f"{_name(usable[target])} holds {_ms(self._objective_s)} again at "
            f"{seen.arrivals_per_s:.3g} rows/s",
        )
        self._since_up = 0
        return target

    def _enter(self, candidate: Candidate, reason: str) -> None:
        self._current, self._reason = candidate.key, reason
        self._missed = self._calm = 0
        self._since_up = None

    def _learn_bias(self, seen: Seen, usable: Sequence[Candidate], place: int) -> None:
        """How much more was seen than the formula says, for the one in use."""
        times = _times(usable[place], usable[0])
        if seen.p95_s is None or not times:
            return
        predicted_s = min(_latency_s(rows, seconds, seen) for rows, seconds in times.items())
        if 0 < predicted_s < math.inf:
            ratio = min(3.0, max(1.0, seen.p95_s / predicted_s))
            self._bias += 0.1 * (ratio - self._bias)

    def _choose_limit(self, candidate: Candidate) -> None:
        """The largest batch for which a request that just missed one still holds the objective."""
        wanted = 1
        for rows in _sizes(candidate.max_batch):
            seconds = _seconds(candidate.seconds, rows)
            if seconds is not None and 2 * seconds > self._objective_s:
                break
            # Beyond what was run the next may be tried, and is known then.
            wanted = rows
        held, windows = self._wanted_limit
        windows = windows + 1 if wanted == held else 1
        self._wanted_limit = wanted, windows
        if windows >= STEADY or self._limit > candidate.max_batch:
            self._limit = min(wanted, candidate.max_batch)


def _times(candidate: Candidate, first: Candidate) -> dict[int, float]:
    """Measured seconds by rows, or what its measured speed makes of the first one's."""
    if candidate.seconds:
        return dict(candidate.seconds)
    if candidate.speed is None:
        return {}
    return {rows: seconds / candidate.speed for rows, seconds in first.seconds.items()}


def _latency_s(rows: int, seconds: float, seen: Seen) -> float:
    """The 95th percentile in batches of so many rows."""
    load = seen.arrivals_per_s * seconds / rows / max(1, seen.instances)
    if load >= FULL:
        return math.inf
    return seconds + TAIL * load * seconds / (2 * (1 - load))


def _sizes(most: int) -> list[int]:
    sizes, rows = [], 1
    while rows < most:
        sizes.append(rows)
        rows *= 2
    return [*sizes, most]


def _seconds(times: Mapping[int, float], rows: int) -> float | None:
    """Seconds of the smallest measured batch that has at least so many rows."""
    larger = [size for size in times if size >= rows]
    return times[min(larger)] if larger else None


def _name(candidate: Candidate) -> str:
    return f"version {candidate.version} in {candidate.variant or 'its own precision'}"


def _costs(candidate: Candidate) -> str:
    return f"; costs {candidate.loss:.1%} of accuracy" if candidate.loss else ""


def _ms(seconds: float | None) -> str:
    return "no time" if seconds is None else f"{seconds * 1e3:.3g} ms"
