"""What the line-ups of an engine share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from secondlook.cloud.engine.adapting.metrics import AdaptingMetrics
from secondlook.cloud.engine.drains import Drains
from secondlook.cloud.engine.lifecycle import MakeBatcher, Open
from secondlook.cloud.engine.lifecycle_metrics import LifecycleMetrics
from secondlook.shared.clock import Clock

Changed = Callable[[str, str], None]
"""Told the model and the version that has come, was replaced, or has gone."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the line-ups of an engine share.

    Attributes:
        open: loads a release.
        make_batcher: puts a batcher in front of a variant.
        drains: what finishes versions that are no longer served.
        limiter: how many versions are opened at once.
        changed: told of every switch.
        gone: told when nothing of a version is in memory any more.
        metrics: where loads are counted.
        clock: times them.
        adapting: where choices are shown.
    """

    open: Open
    make_batcher: MakeBatcher
    drains: Drains
    limiter: anyio.CapacityLimiter
    changed: Changed
    gone: Changed
    metrics: LifecycleMetrics
    clock: Clock
    adapting: AdaptingMetrics
