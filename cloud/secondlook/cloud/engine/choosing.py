"""Which version and variant answers a request: by name, by share, or as the latency asks."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from secondlook.cloud.engine.adapting.metrics import AdaptingMetrics
from secondlook.cloud.engine.adapting.steering import Steered, Steering
from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.batching import Batcher
from secondlook.cloud.engine.lifecycle import Served
from secondlook.cloud.engine.routing import Routes
from secondlook.cloud.repository.config import ModelConfig

Chosen = tuple[Served, str, str]
"""The version, its variant (empty: the main one), and why, where there was a choice."""

LOSS = "loss."
"""Parameters that begin so say how much less accurate than the newest a version is, as a share:
``loss.3 = 0.02`` lets version 3 stand in where the newest cannot hold the objective."""


def key_of(ask: Ask) -> str:
    """What stays on one version of those that share a name."""
    return ask.camera or ask.request_id


class Choosing:
    """One model's. Every method runs in the event loop.

    A version that is named, or got by a share that is not the largest, is not changed. All others
    get what holds the model's latency objective, where it has one: another batch limit, a variant
    whose loss was measured, or an older version whose loss is declared.

    Args:
        model: its name.
        tasks: where the choice is looked at, once a second.
        metrics: where it is shown.
    """

    def __init__(self, model: str, tasks: TaskGroup, metrics: AdaptingMetrics) -> None:
        self._model = model
        self._tasks = tasks
        self._metrics = metrics
        self._routes: Routes[Served] | None = None
        self._config: ModelConfig | None = None
        self._steering: Steering | None = None
        self._scope = anyio.CancelScope()

    def follow(self, routes: Routes[Served] | None, config: ModelConfig | None) -> None:
        """These serve from now on."""
        before = None if self._config is None else self._config.objective_s
        self._routes, self._config = routes, config
        objective_s = None if config is None or routes is None else config.objective_s
        if self._steering is not None and objective_s != before:
            self._stop()
        if self._steering is None and objective_s is not None and self._candidates():
            self._steering = Steering(self._model, objective_s, self._candidates, self._metrics)
            self._scope = anyio.CancelScope()
            self._tasks.start_soon(self._steer, self._steering, self._scope)
        elif routes is None and self._steering is not None:
            self._stop()

    def choose(self, ask: Ask, routes: Routes[Served]) -> Chosen:
        """What answers.

        Raises:
            NotFound: the version that is asked for is not served.
        """
        if ask.version:
            return routes.named(ask.version), "", ""
        served = routes.of(key_of(ask))
        choice = None if self._steering is None else self._steering.choice
        if choice is None or served is not routes.main:
            return served, "", ""
        # What was chosen may have gone since the last look.
        return routes.versions.get(choice.version, served), choice.variant, choice.reason

    def _candidates(self) -> list[Steered]:
        """The variants of what most requests get, the best first; then versions that may stand in.

        Where shares are set, the other versions have requests of their own.
        """
        if self._routes is None or self._config is None:
            return []
        main = self._routes.main
        found = _steered(main, 0.0)
        if not self._config.shares:
            for served in reversed(self._routes.versions.values()):
                loss = _declared(self._config.parameters, served.version)
                if served is not main and loss is not None:
                    found += _steered(served, loss)
        return [found[0], *sorted(found[1:], key=_loss)] if found else []

    async def _steer(self, steering: Steering, scope: anyio.CancelScope) -> None:
        with scope:
            await steering.run()

    def _stop(self) -> None:
        self._scope.cancel()
        if self._steering is not None:
            self._steering.close()
            self._steering = None


def _steered(served: Served, loss: float) -> list[Steered]:
    """What can be steered of a version that loses ``loss`` itself."""
    return [
        Steered(
            variant.batcher, None if variant.loss is None else variant.loss + loss, variant.speed
        )
        for variant in served.variants.values()
        if isinstance(variant.batcher, Batcher)
    ]


def _loss(steered: Steered) -> float:
    return 1.0 if steered.loss is None else steered.loss


def _declared(parameters: Mapping[str, str], version: str) -> float | None:
    try:
        loss = float(parameters[f"{LOSS}{version}"])
    except (KeyError, ValueError):
        return None
    return loss if 0.0 <= loss <= 1.0 else None
