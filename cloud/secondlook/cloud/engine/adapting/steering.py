"""Lets the controller steer real batchers: looks once a second, answers `choice` at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.adapting.controller import Candidate, Choice, Controller, Seen
from secondlook.cloud.engine.adapting.metrics import AdaptingMetrics
from secondlook.cloud.engine.batching import Batcher
from secondlook.shared.telemetry import get_logger

WINDOW_S = 1.0
"""What one look covers."""

FEW = 20
"""Answers in a window below which its 95th percentile is its longest wait, and means little."""


@dataclass(frozen=True, slots=True)
class Steered:
    """A batcher that may be chosen.

    Attributes:
        batcher: serves one version in one variant.
        loss: its measured loss of accuracy against the first, as a share; ``None``: not measured.
        speed: how many times faster than the first it was measured to be; ``None``: not known.
    """

    batcher: Batcher
    loss: float | None
    speed: float | None = None


class Steering:
    """One model's. On the event loop only.

    Args:
        model: its name.
        objective_s: the latency to hold, seconds.
        served: gives what is ready now, the preferred first; asked at every look.
        metrics: where the choice is shown.
    """

    def __init__(
        self,
        model: str,
        objective_s: float,
        served: Callable[[], Sequence[Steered]],
        metrics: AdaptingMetrics,
    ) -> None:
        self._model = model
        self._served = served
        self._controller = Controller(objective_s)
        self._metrics = metrics
        self._log = get_logger(__name__)
        self._choice: Choice | None = None
        metrics.objective(model, objective_s)

    @property
    def choice(self) -> Choice | None:
        """What new requests should get, and why; ``None`` before the first look."""
        return self._choice

    async def run(self) -> None:
        """Look at every window, until cancelled."""
        while True:
            self.look()
            await anyio.sleep(WINDOW_S)

    def look(self) -> None:
        """Choose anew from what was seen since the last look."""
        served = self._served()
        if not served:
            self._choice = None
            return
        # Requests that name a version are part of the load of its device, and of nothing else: what
        # is looked at is the batcher in use.
        before = self._choice
        current = next(
            (
                one
                for one in served
                if before is not None
                and (one.batcher.version, one.batcher.variant) == (before.version, before.variant)
            ),
            served[0],
        )
        choice = self._controller.decide(
            _seen(current.batcher), [_candidate(one) for one in served]
        )
        for one in served:
            # What nobody chose is not looked at, but must not pile up.
            one.batcher.take_waits()
            one.batcher.limit = choice.limit
        self._show(before, choice)
        self._choice = choice

    def close(self) -> None:
        """The model is gone."""
        self._choice = None
        self._metrics.forget(self._model)

    def _show(self, before: Choice | None, choice: Choice) -> None:
        if before is None or (before.version, before.variant) != (choice.version, choice.variant):
            self._log.info(
                "chosen",
                model=self._model,
                version=choice.version,
                variant=choice.variant,
                reason=choice.reason,
            )
            self._metrics.chosen(self._model, choice, changed=before is not None)


def _candidate(served: Steered) -> Candidate:
    batcher = served.batcher
    return Candidate(
        batcher.version,
        batcher.variant,
        served.loss,
        batcher.max_batch,
        batcher.pace.known,
        served.speed,
    )


def _seen(batcher: Batcher) -> Seen:
    waits = sorted(batcher.take_waits())
    p95_s = None
    if waits:
        p95_s = waits[min(len(waits) - 1, math.ceil(0.95 * len(waits)) - 1)]
    if len(waits) < FEW and waits:
        p95_s = waits[len(waits) // 2]
    return Seen(p95_s, batcher.waiting, batcher.arrivals_per_s(), batcher.instances)
