"""Traces of requests: synthetic ones of known structure, and recorded ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

Rng = np.random.Generator
Requests = list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of time.

    Attributes:
        name: short.
        text: what its structure is, for people.
        requests: seconds from the start, and the model that is asked for.
        day_s: how long its day is, seconds.
    """

    name: str
    text: str
    requests: Requests
    day_s: float = 86400.0

    @property
    def models(self) -> list[str]:
        """All that are asked for, by name."""
        return sorted({model for _, model in self.requests})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A kind of synthetic traffic.

    Attributes:
        name: short.
        text: what its structure is.
        make: requests of so many models over so many seconds.
        day_s: how long its day is, seconds.
    """

    name: str
    text: str
    make: Callable[[Rng, int, float], Requests]
    day_s: float = 86400.0

    def trace(self, seed: int, models: int, duration_s: float) -> Trace:
        """One of its kind; the same for the same seed."""
        rng = np.random.default_rng((seed, *self.name.encode()))
        requests = sorted(self.make(rng, models, duration_s))
        return Trace(self.name, self.text, requests, self.day_s)


DAY_S = 2400.0
"""The day of synthetic traces: a real one would take the benchmark days to learn."""


def uniform(rng: Rng, models: int, duration_s: float) -> Requests:
    """Any model, any time: nothing can be learnt."""
    return _independent(rng, np.full(models, 1 / models), duration_s, 0.1)


def zipf(rng: Rng, models: int, duration_s: float) -> Requests:
    """Some models more than others, any time: frequency is all there is."""
    weights = 1 / np.arange(1, models + 1)
    return _independent(rng, weights / weights.sum(), duration_s, 0.2)


def bursts(rng: Rng, models: int, duration_s: float) -> Requests:
    """Long silences, then half a minute of requests: recency is all there is."""
    found: Requests = []
    for model in _names(models):
        t = rng.exponential(400)
        while t < duration_s:
            end = t + rng.uniform(15, 45)
            while t < end:
                found.append((t, model))
                t += rng.exponential(2.0)
            t += rng.exponential(400)
    return _until(found, duration_s)


def periodic(rng: Rng, models: int, duration_s: float) -> Requests:
    """Each model by a schedule of its own, to a few percent."""
    found: Requests = []
    for model in _names(models):
        period_s = rng.uniform(60, 600)
        t = rng.uniform(0, period_s)
        while t < duration_s:
            found += _visit(rng, model, t + rng.normal(0, 0.01 * period_s))
            t += period_s
    return _until(found, duration_s)


def chains(rng: Rng, models: int, duration_s: float) -> Requests:
    """A model is followed by the same others, some seconds later each, nine times in ten."""
    names = _names(models)
    rng.shuffle(names)
    found: Requests = []
    for first in range(0, models, 4):
        links = names[first : first + 4]
        lags = rng.uniform(8, 30, len(links))
        t = rng.exponential(240)
        while t < duration_s:
            at = t
            for model, lag_s in zip(links, lags, strict=True):
                found += _visit(rng, model, at)
                if rng.random() > 0.9:
                    break
                at += lag_s * rng.normal(1, 0.1)
            t += rng.exponential(240)
    return _until(found, duration_s)


def diurnal(rng: Rng, models: int, duration_s: float) -> Requests:
    """Each model at its own time of the day."""
    found: Requests = []
    for model in _names(models):
        peak_s = rng.uniform(0, DAY_S)
        t = 0.0
        while t < duration_s:
            t += rng.exponential(15.0)
            phase = math.cos(2 * math.pi * (t - peak_s) / DAY_S)
            if rng.random() < max(0.0, phase) ** 8:
                found += _visit(rng, model, t)
    return _until(found, duration_s)


def drift(rng: Rng, models: int, duration_s: float) -> Requests:
    """Schedules and chains that are all replaced four times."""
    found: Requests = []
    part_s = duration_s / 4
    for part in range(4):
        found += [(t + part * part_s, m) for t, m in mixed(rng, models, part_s)]
    return found


def mixed(rng: Rng, models: int, duration_s: float) -> Requests:
    """A third each of schedules, chains and chance."""
    names = _names(models)
    rng.shuffle(names)
    third = models // 3
    found: Requests = []
    for make, part in (
        (periodic, names[:third]),
        (chains, names[third : 2 * third]),
        (zipf, names[2 * third :]),
    ):
        renamed = dict(zip(_names(len(part)), part, strict=True))
        found += [(t, renamed[model]) for t, model in make(rng, len(part), duration_s)]
    return found


PATTERNS = (
    Pattern("uniform", "any model at any time", uniform),
    Pattern("zipf", "some models more often, at any time", zipf),
    Pattern("bursts", "silence, then half a minute of requests", bursts),
    Pattern("periodic", "schedules of 1 to 10 minutes", periodic),
    Pattern("chains", "the same models after each other", chains),
    Pattern("diurnal", "each model at its time of the day", diurnal, DAY_S),
    Pattern("mixed", "a third schedules, chains, chance", mixed),
    Pattern("drift", "mixed, replaced four times", drift),
)


def read_trace(file: Path) -> Trace:
    """A recorded trace: a JSON object a line, ``{"at_s": 12.5, "model": "street_heavy"}``.

    Raises:
        InvalidInput: a line is no such object; the message has its number.
    """
    return Trace(file.stem, f"recorded, {file.name}", sorted(_lines(file)))


def _lines(file: Path) -> Iterator[tuple[float, str]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                at_s, model = entry["at_s"], entry["model"]
            except (ValueError, KeyError, TypeError):
                entry = None
            if (
                entry is None
                or isinstance(at_s, bool)
                or not isinstance(at_s, (int, float))
                or not math.isfinite(at_s)
                or not isinstance(model, str)
            ):
                raise InvalidInput(
                    f'{file}:{number}: expected {{"at_s": seconds, "model": "name"}}'
                )
            yield float(at_s), model


def _names(models: int) -> list[str]:
    return [f"model-{n:02}" for n in range(models)]


def _independent(
    rng: Rng, weights: npt.NDArray[np.float64], duration_s: float, rate: float
) -> Requests:
    times = np.cumsum(rng.exponential(1 / rate, int(duration_s * rate)))
    chosen = rng.choice(len(weights), len(times), p=weights)
    names = _names(len(weights))
    return _until([(float(t), names[c]) for t, c in zip(times, chosen, strict=True)], duration_s)


def _visit(rng: Rng, model: str, at_s: float) -> Requests:
    """A few requests, less than a second apart."""
    return [(at_s + 0.3 * n, model) for n in range(int(rng.integers(1, 5)))]


def _until(requests: Requests, duration_s: float) -> Requests:
    return [(t, model) for t, model in requests if 0 <= t < duration_s]
