"""What it costs to fetch what changed, out of few and out of many records."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from secondlook.cli.bench.memory.documents import document, record_id
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Record, Write
from secondlook.shared.memory.rules import MAX_BATCH
from secondlook.shared.wire.memory import record_to_proto

CHANGED = 1000
PAGE = 500
CAMERA = "bench/sync"


@dataclass(frozen=True, slots=True)
class Sync:
    """Fetching `CHANGED` changes.

    Attributes:
        records: how many there are in all.
        ms: time of all pages, the best of several passes.
        bytes_per_change: of a page on the wire, compressed with gzip's algorithm.
    """

    records: int
    ms: float
    bytes_per_change: float


async def fill(store: ContextStore, records: int, done: Callable[[int], None]) -> None:
    """Save so many new records; ``done`` is told how many more there are."""
    for start in range(0, records, MAX_BATCH):
        numbers = range(start, min(records, start + MAX_BATCH))
        await _write(store, [(number, 0) for number in numbers])
        done(len(numbers))


async def sync(stores: Mapping[int, ContextStore], passes: int = 5) -> list[Sync]:
    """Change `CHANGED` of the records of `fill`, all over the place, and fetch the changes.

    In turns, so that a busy moment of the machine hurts all alike.

    Args:
        stores: by how many records `fill` has saved.
        passes: turns of each.
    """
    cursors = {records: await _change(store, records) for records, store in stores.items()}
    times: dict[int, list[float]] = {records: [] for records in stores}
    found: dict[int, list[Record]] = {}
    for _ in range(passes):
        for records, store in stores.items():
            started_s = time.perf_counter()
            found[records] = await _fetch(store, cursors[records])
            times[records].append(time.perf_counter() - started_s)
    return [
        Sync(records, min(times[records]) * 1000, _bytes_per_change(found[records]))
        for records in stores
    ]


async def _change(store: ContextStore, records: int) -> int:
    """Write the changes; returns the cursor before them."""
    cursor = await _newest(store)
    step = records // CHANGED
    # Each has been written once, by `fill`.
    changed = [(number * step, 1) for number in range(CHANGED)]
    for start in range(0, CHANGED, MAX_BATCH):
        await _write(store, changed[start : start + MAX_BATCH])
    return cursor


def _bytes_per_change(found: Sequence[Record]) -> float:
    if len(found) != CHANGED:
        raise AssertionError(f"{len(found)} changes fetched, {CHANGED} were made")
    message = pb.ChangesResponse(records=[record_to_proto(record) for record in found[:PAGE]])
    return len(zlib.compress(message.SerializeToString())) / PAGE


async def _write(store: ContextStore, numbers: list[tuple[int, int]]) -> None:
    writes = [
        Write(record_id(number, CAMERA), document(number + version), version, "bench")
        for number, version in numbers
    ]
    for outcome in await store.apply(writes):
        if outcome.error is not None:
            raise outcome.error


async def _newest(store: ContextStore) -> int:
    """The cursor after everything, found with a prefix that no record has."""
    return (await store.changes(f"{CAMERA}/none")).cursor


async def _fetch(store: ContextStore, cursor: int) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await store.changes(f"{CAMERA}/", cursor, PAGE)
        found += page.records
        cursor = page.cursor
        if not page.more:
            return found
