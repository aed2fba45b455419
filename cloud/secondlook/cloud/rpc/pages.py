"""Pages of changes that fit into a message, whatever size the records have."""

from __future__ import annotations

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.rules import LISTING, check_page, read_cursor
from secondlook.shared.wire.memory import record_to_proto

MAX_PAGE_BYTES = 512 * 1024
"""A page ends with the record that passes it. A record has at most some 66 KB, and four seconds
suffice for this much over 1 Mbit/s."""
FIRST_READ = 32
NEXT_READ = 256
"""Most records asked of the store at once: at first, when their sizes are unknown, and later."""
MAX_READS = 16
"""A store may find nothing in what it looked through, and say that there is more; so may we."""


async def bounded_page(
    store: ContextStore, prefix: str, since: int, limit: int
) -> pb.ChangesResponse:
    """The page of at most ``limit`` records, shorter where they are large.

    Raises:
        InvalidInput, CursorTooOld, StoreError: see `ContextStore.changes`.
    """
    check_page(prefix, since, limit)
    found: dict[str, pb.Record] = {}
    cursor, more, size = since, True, 0
    for reads in range(MAX_READS):
        ask = min(limit - len(found), NEXT_READ if reads else FIRST_READ)
        page = await store.changes(prefix, cursor, ask)
        cursor, more = page.cursor, page.more
        for place, record in enumerate(page.records):
            if size >= MAX_PAGE_BYTES:
                cursor, more = cursor_at(page.records[place - 1].change, since), True
                break
            # Written again since the last read: it moved to its newest change.
            found.pop(record.id, None)
            found[record.id] = message = record_to_proto(record)
            size += message.ByteSize()
        if not more or size >= MAX_PAGE_BYTES or len(found) >= limit:
            break
    return pb.ChangesResponse(records=found.values(), cursor=cursor, more=more)


def cursor_at(change: int, since: int) -> int:
    """The cursor of what follows ``change`` in what was asked for from ``since`` on."""
    _, listing = read_cursor(since)
    return change + LISTING if listing else change
