"""The rules of the context memory that every store applies in the same way."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from secondlook.shared.errors import InvalidInput, VersionConflict
from secondlook.shared.memory.record import MAX_ID_BYTES, MAX_VERSION, Origin, Record, check_id

MAX_WRITER_BYTES = 128
MAX_TTL_S = 10 * 366 * 86_400.0
MAX_LIMIT = 1000
MAX_BATCH = 256
"""Most writes in one `ContextStore.apply`."""
LISTING = 1 << 62
"""Added to a cursor within a listing from 0, which begins below the floor and must get past it."""
MAX_REPLICAS = 32
"""Replicas whose last write of a record is remembered, the newest ones."""
_ORIGIN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def check_write(
    record_id: str,
    expected_version: int,
    writer: str,
    ttl_s: float | None = None,
    origin: Origin | None = None,
) -> None:
    """Refuse a write that can never work.

    Raises:
        InvalidInput: names the argument.
    """
    check_id(record_id)
    if not 0 <= expected_version < MAX_VERSION:
        raise InvalidInput(f"expected_version is {expected_version}; 0 to 2^63 - 2 expected")
    size = len(writer.encode(errors="replace"))
    if not 1 <= size <= MAX_WRITER_BYTES or not writer.isprintable():
        raise InvalidInput(f"writer must be 1 to {MAX_WRITER_BYTES} bytes of printable text")
    if ttl_s is not None and not (math.isfinite(ttl_s) and 0 < ttl_s <= MAX_TTL_S):
        raise InvalidInput(f"ttl_s is {ttl_s}; above 0 and at most {MAX_TTL_S:.0f} expected")
    if origin is not None and not (
        _ORIGIN.fullmatch(origin.replica) and _ORIGIN.fullmatch(origin.token)
    ):
        raise InvalidInput("origin: replica and token must be 1 to 64 of A-Z a-z 0-9 . _ -")


def check_batch(size: int) -> None:
    """Refuse a batch that is too large.

    Raises:
        InvalidInput: more than `MAX_BATCH` writes.
    """
    if size > MAX_BATCH:
        raise InvalidInput(f"{size} writes in one batch; at most {MAX_BATCH} are accepted")


def check_page(prefix: str, since: int, limit: int) -> None:
    """Refuse a page of changes that can never be had.

    Raises:
        InvalidInput: names the argument.
    """
    if not prefix.isprintable() or len(prefix.encode(errors="replace")) > MAX_ID_BYTES:
        raise InvalidInput(f"prefix must be printable and at most {MAX_ID_BYTES} bytes")
    if not 0 <= since <= MAX_VERSION:
        raise InvalidInput(f"since is {since}; 0 to 2^63 - 1 expected")
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"limit is {limit}; 1 to {MAX_LIMIT} expected")


def read_cursor(since: int) -> tuple[int, bool]:
    """The change after which a page begins, and whether it is of a listing from 0."""
    return (since - LISTING, True) if since >= LISTING else (since, since == 0)


def expect(record_id: str, expected: int, standing: Record | None) -> None:
    """Compare what the caller has seen with what stands.

    Raises:
        VersionConflict: they differ; carries what stands.
    """
    actual = 0 if standing is None else standing.version
    if actual != expected:
        raise VersionConflict(record_id, expected, actual, standing)


def as_seen(record: Record, now: float) -> Record:
    """The record at ``now`` (wall clock): past its time to live it is seen as a tombstone."""
    if record.deleted or record.expires_at is None or record.expires_at > now:
        return record
    return replace(record, data={}, deleted=True)
