"""What the service does for its context memory while nobody asks.

It forgets what is long dead, and certifies sites from what their cameras' audits have shown.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from secondlook.cloud.metrics import MemoryMetrics
from secondlook.shared.background import background_tasks
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory.protocol import Compactable, ContextStore
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust import SiteCertifier

AT_ONCE = 256
"""Records forgotten in one step: a store must not be held for long."""
REST_S = 0.05
"""Pause between two steps: those who ask go first."""

_log = get_logger(__name__)


@asynccontextmanager
async def maintained(
    store: ContextStore,
    *,
    keep_s: float,
    every_s: float,
    metrics: MemoryMetrics,
    certifier: SiteCertifier | None = None,
    certify_every_s: float = 60.0,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[None]:
    """Look after a store while the block runs.

    Args:
        store: the memory.
        keep_s: what has been dead for so long is forgotten, seconds.
        every_s: how often, seconds.
        metrics: counts.
        certifier: certifies the sites; nobody does where not given.
        certify_every_s: how often, seconds.
        wall: the wall clock.
    """
    async with background_tasks() as tasks:
        if isinstance(store, Compactable):
            tasks.start_soon(forget_for_ever, store, keep_s, every_s, metrics)
        if certifier is not None:
            tasks.start_soon(certify_for_ever, certifier, certify_every_s, wall, metrics)
        yield


async def forget_for_ever(
    store: Compactable, keep_s: float, every_s: float, metrics: MemoryMetrics
) -> None:
    """A round every ``every_s`` seconds. A store that fails is asked again in the next one.

    Several services may share a store: each of them forgets, at moments of its own.
    """
    while True:
        await anyio.sleep(every_s * random.uniform(0.8, 1.2))
        try:
            forgotten = await forget(store, keep_s, metrics)
        except SecondlookError as error:
            metrics.failed()
            _log.warning("cannot forget what is dead", error=str(error))
        else:
            if forgotten:
                _log.info("forgot what was dead", records=forgotten, keep_s=keep_s)


async def certify_for_ever(
    certifier: SiteCertifier, every_s: float, wall: Callable[[], float], metrics: MemoryMetrics
) -> None:
    """A round every ``every_s`` seconds. A store that fails is asked again in the next one.

    Several services may share a store: the same windows give the same record.
    """
    while True:
        await anyio.sleep(every_s * random.uniform(0.8, 1.2))
        try:
            written = await certifier.round(wall())
        except SecondlookError as error:
            metrics.certifying_failed()
            _log.warning("cannot certify sites", error=str(error))
        else:
            metrics.certified(len(written))
            for record in written:
                _log.info("site certified", record=record.id, state=record.data.get("state"))


async def forget(store: Compactable, keep_s: float, metrics: MemoryMetrics) -> int:
    """One round, in steps of `AT_ONCE`. Returns how many records were forgotten.

    Raises:
        StoreError: the store failed.
    """
    total = 0
    while True:
        forgotten = await store.compact(keep_s, AT_ONCE)
        total += forgotten
        metrics.forgot(forgotten)
        if forgotten < AT_ONCE:
            return total
        await anyio.sleep(REST_S)
