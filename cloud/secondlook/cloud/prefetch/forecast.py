"""How probable it is that a model is asked for soon, learnt online.

Each source of evidence (how often, at which intervals, after which others, at which time of the
day) gives a probability of its own. What they are worth together is learnt while serving, as a
logistic regression over their log odds ("logistic mixing"; Mattern, "Mixing strategies in data
compression", 2012), by stochastic gradient from labels that come late: a forecast is an example as
soon as its horizon has passed.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.cloud.prefetch.calibration import Calibration
from secondlook.cloud.prefetch.history import Floats
from secondlook.shared.errors import MissingDependency

SOURCES = ("usual", "lately", "daytime", "interval", "company", "best", "going")
PENDING = 20_000
"""Most forecasts that wait for their label."""

EXAMPLES = 8
"""Most forecasts of one moment that become examples."""

BELIEF = 0.5
"""Weight of a source before anything was learnt."""

CONTEXTS = 5
"""Mixers: one for each source that may lead, and one where none does."""

_LEADS = 1.0
_FLOOR = 1e-4


def leading(x: Floats) -> npt.NDArray[np.int64]:
    """(n,) which source says most beyond the usual, 1 to 4; 0 where none says much.

    What the sources are worth depends on who leads: the mixer is chosen by that (the "selected
    weight sets" of logistic mixing).
    """
    gains = x[:, 1:5]
    lead = gains.argmax(axis=1)
    return np.where(gains[np.arange(len(x)), lead] > _LEADS, lead + 1, 0)


def mixer() -> Any:
    """River's logistic regression with every source believed a little from the start.

    Raises:
        MissingDependency: river is not installed.
    """
    try:
        from river import linear_model, optim
    except ImportError as error:
        raise MissingDependency("the river library", "cloud") from error
    return linear_model.LogisticRegression(
        optimizer=optim.SGD(0.02),
        intercept_lr=0.02,
        initializer=optim.initializers.Constant(BELIEF),
    )


def log_odds(probability: Floats) -> Floats:
    """ln(p / (1 - p)), kept finite."""
    p = np.clip(probability, _FLOOR, 1.0 - _FLOOR)
    return np.asarray(np.log(p / (1.0 - p)), np.float64)


def evidence(
    usual: Floats, lately: Floats, daytime: Floats, interval: Floats, company: Floats, going: Floats
) -> Floats:
    """(rows, sources) what a mixer reads: the usual log odds, and what each source adds to them."""
    base = log_odds(usual)
    others = [log_odds(p) - base for p in (lately, daytime, interval, company)]
    best = np.max(np.stack(others), axis=0)
    return np.stack([base, *others, best, going], axis=1)


class Forecast:
    """Forecasts over one horizon.

    Args:
        seed: of the choice of examples.
    """

    def __init__(self, seed: int = 0) -> None:
        self._mixers = [mixer() for _ in range(CONTEXTS)]
        self._calibration = Calibration()
        self._rng = np.random.default_rng(seed)
        self._due: list[tuple[float, int, int, int, float, Floats]] = []
        self._made = 0
        self._labelled: list[tuple[Floats, float, bool]] = []
        self.labels = 0
        """Forecasts that were learnt from."""

    def probability(self, x: Floats) -> tuple[Floats, Floats]:
        """(n,) as the mixer says, and as measured, for (n, sources) evidence."""
        vectors = np.array(
            [[m.weights.get(name, BELIEF) for name in SOURCES] for m in self._mixers]
        )
        intercepts = np.array([m.intercept for m in self._mixers])
        context = leading(x)
        z = np.einsum("ns,ns->n", x, vectors[context]) + intercepts[context]
        said = 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))
        return said, self._calibration.measured(said)

    def remember(
        self,
        now_s: float,
        rows: npt.NDArray[np.int64],
        horizon_s: Floats,
        x: Floats,
        said: Floats,
        asks: npt.NDArray[np.int64],
    ) -> None:
        """Forecasts were made for ``rows``; some of them, by chance, become examples."""
        if len(rows) > EXAMPLES:
            rows = self._rng.choice(rows, EXAMPLES, replace=False)
        for row in rows:
            if len(self._due) >= PENDING:
                return
            self._made += 1
            due_s = now_s + float(horizon_s[row])
            entry = (due_s, self._made, int(row), int(asks[row]), float(said[row]), x[row])
            heapq.heappush(self._due, entry)

    def settle(self, now_s: float, asks: npt.NDArray[np.int64]) -> None:
        """Label what fell due before now: was the model asked for since?"""
        while self._due and self._due[0][0] < now_s:
            _, _, row, before, said, x = heapq.heappop(self._due)
            self._labelled.append((x, said, bool(asks[row] > before)))

    def forget(self, row: int) -> None:
        """The model of this row is gone: its forecasts are nobody's."""
        self._due = [entry for entry in self._due if entry[2] != row]
        heapq.heapify(self._due)

    def learn(self) -> None:
        """Learn from what was labelled."""
        if not self._labelled:
            return
        contexts = leading(np.stack([x for x, _, _ in self._labelled])).tolist()
        for (x, said, came), context in zip(self._labelled, contexts, strict=True):
            features = dict(zip(SOURCES, x.tolist(), strict=True))
            self._mixers[context].learn_one(features, came)
            self._calibration.learn(said, came)
        self.labels += len(self._labelled)
        self._labelled.clear()
