"""The loop people want: load, change, save, and again where another writer was first."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import anyio

from secondlook.shared.errors import NotFound, VersionConflict
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Document, Record

FIRST_DELAY_S = 0.005
MAX_DELAY_S = 0.25

Mutate = Callable[[dict[str, Any]], Document]
"""From the data that stands (empty where nothing does; may be changed in place) to the new data."""


async def edit(
    store: ContextStore,
    record_id: str,
    mutate: Mutate,
    *,
    writer: str,
    attempts: int = 8,
    ttl_s: float | None = None,
) -> Record:
    """Change a record, whoever else writes to it.

    ``mutate`` is called again, on what stands by then, after each conflict; it must not have side
    effects. Waits between attempts are random and grow, so that writers drift apart.

    Raises:
        VersionConflict: other writers were first ``attempts`` times; carries what stands.
        InvalidInput, StoreError: see `ContextStore.save`.
    """
    try:
        current: Record | None = await store.load(record_id)
    except NotFound:
        current = None
    for attempt in range(attempts):
        data = mutate({} if current is None else copy.deepcopy(dict(current.data)))
        version = 0 if current is None else current.version
        try:
            return await store.save(record_id, data, version, writer=writer, ttl_s=ttl_s)
        except VersionConflict as conflict:
            if attempt + 1 == attempts:
                raise
            # The conflict brings what stands: no second round trip.
            current = conflict.current
        await anyio.sleep(random.uniform(0, min(MAX_DELAY_S, FIRST_DELAY_S * 2**attempt)))
    raise ValueError(f"attempts is {attempts}; at least 1 expected")
