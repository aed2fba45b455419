"""The loop people want: load, change, save, and merge where another writer was first."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import anyio

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import NotFound, StoreError, Unavailable, VersionConflict
from secondlook.shared.memory.kinds import rule_for
from secondlook.shared.memory.merging import Rule, merge
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Document, Origin, Record, decode, encode

FIRST_DELAY_S = 0.005
MAX_DELAY_S = 0.25
_LEAST_TTL_S = 0.001
"""The wire counts milliseconds, and its 0 means for ever."""

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
    rule: Rule | None = None,
    origin: Origin | None = None,
    clock: Clock | None = None,
) -> Record:
    """Change a record, whoever else writes to it.

    ``mutate`` is called once. Where another writer was first, its change and ours are merged by
    field, from the record that ours was made of. A record that was deleted meanwhile comes back
    with our data, since a change stands against a removal. Waits between attempts are random and
    grow, so that writers drift apart.

    A store that fails while it saves leaves open whether it saved. Without ``origin`` that error is
    raised at once and nothing is sent twice: load the record to see. With ``origin`` the same save
    is sent again, and the whole call may be repeated with the same origin: the change is made once.

    Args:
        store: where the record is.
        record_id: ``site/camera/kind/key``.
        mutate: makes the new data.
        writer: who writes.
        attempts: most saves that are sent.
        ttl_s: time to live, seconds. ``None``: the record keeps the time it has left; a new one
            lives for ever, and one that expired meanwhile gets its whole time again.
        rule: how changes are merged; ``None``: the rule of the record's kind.
        origin: names this change among those of a replica, see `Origin`.
        clock: for the time a record has left.

    Returns:
        The record as saved; after a repetition, what stands.

    Raises:
        VersionConflict: other writers were first ``attempts`` times; carries what stands.
        MergeConflict: both changed the same, and no rule decides; nothing was written.
        InvalidInput, Overloaded: see `ContextStore.save`.
        StoreError, Unavailable: the store failed; whether the change was made is unknown.
    """
    if attempts < 1:
        raise ValueError(f"attempts is {attempts}; at least 1 expected")
    clock = clock or SystemClock()
    rule = rule or rule_for(record_id)
    try:
        seen: Record | None = await store.load(record_id)
    except NotFound:
        seen = None
    base: Document = {} if seen is None else seen.data
    version = 0 if seen is None else seen.version
    ours: Document = decode(encode(mutate(copy.deepcopy(dict(base)))))
    for attempt in range(1, attempts + 1):
        lives_s = _left_s(seen, clock.wall()) if ttl_s is None else ttl_s
        try:
            return await store.save(
                record_id, ours, version, writer=writer, ttl_s=lives_s, origin=origin
            )
        except VersionConflict as conflict:
            if attempt == attempts:
                raise
            # The conflict brings what stands: no second round trip.
            theirs, version = conflict.current, conflict.actual
            if theirs is None:
                base = {}
            else:
                ours = merge(base, ours, theirs.data, rule, record_id)
                base, seen = theirs.data, theirs
        except (StoreError, Unavailable):
            if origin is None or attempt == attempts:
                raise
        await anyio.sleep(random.uniform(0, min(MAX_DELAY_S, FIRST_DELAY_S * 2**attempt)))
    raise AssertionError("the last attempt returns or raises")


def _left_s(record: Record | None, now: float) -> float | None:
    """Seconds a record has left to live; ``None``: for ever. Of an expired one, its whole time."""
    if record is None or record.expires_at is None:
        return None
    left_s = record.expires_at - now
    return max(_LEAST_TTL_S, left_s if left_s > 0 else record.expires_at - record.updated_at)
