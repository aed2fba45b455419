"""The batcher of a variant, as its model's configuration asks for it."""

from __future__ import annotations

from dataclasses import replace

from secondlook.cloud.engine.batching import Batcher, Instance, Policy
from secondlook.cloud.engine.lifecycle import MakeBatcher, Opened
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.shared.clock import Clock


def batcher_factory(defaults: Policy, metrics: EngineMetrics, clock: Clock) -> MakeBatcher:
    """What puts a batcher in front of a variant.

    Args:
        defaults: what holds where a model says nothing.
        metrics: where to count.
        clock: the clock of the deadlines.
    """

    def make(opened: Opened) -> Batcher:
        release, config = opened.release, opened.release.config
        most = max(1, config.max_batch)
        batcher = Batcher(
            config.name,
            release.version,
            [Instance.of(backend) for backend in opened.backends],
            # What was derived says nothing of its own.
            replace(defaults, max_batch=most)
            if config.derived
            else Policy.of(config, most, defaults),
            metrics=metrics,
            clock=clock,
            variant=release.variant,
        )
        asked = not config.derived or config.batching is not None
        if not asked and opened.backends[0].device == "CPU":
            # A batch saves next to nothing there, and makes the first caller wait for the last.
            batcher.limit = 1
        return batcher

    return make
