"""What the service does for its context memory while nobody asks: it forgets what is long dead."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from secondlook.cloud.metrics import MemoryMetrics
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory.protocol import Compactable, ContextStore
from secondlook.shared.telemetry import get_logger

AT_ONCE = 256
"""Records forgotten in one step: a store must not be held for long."""
REST_S = 0.05
"""Pause between two steps: those who ask go first."""

_log = get_logger(__name__)


@asynccontextmanager
async def maintained(
    store: ContextStore, *, keep_s: float, every_s: float, metrics: MemoryMetrics
) -> AsyncIterator[None]:
    """Forget what has been dead for ``keep_s`` seconds, every ``every_s`` seconds, meanwhile."""
    if not isinstance(store, Compactable):
        yield
        return
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(forget_for_ever, store, keep_s, every_s, metrics)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it goes on as it is: the group would wrap it
            failure = error
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


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
