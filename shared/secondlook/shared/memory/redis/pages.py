"""Pages of changes: of one site in one round trip, of many sites merged."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from secondlook.shared.errors import CursorTooOld
from secondlook.shared.memory.record import Changes, Record
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.master import Master
from secondlook.shared.memory.redis.scripts import PAGE
from secondlook.shared.memory.redis.text import join_id, parse
from secondlook.shared.memory.rules import LISTING, as_seen, read_cursor

SCAN = 1000
"""Most entries of one site's order that one call of Redis looks at; it must not block long."""
ENTRIES = 20_000
"""Most entries that are merged into one page, over all sites."""
FIRST = 100
"""Texts asked for before anything is known of their size."""
MAX_BYTES = 4 * 1024 * 1024
"""A page that has grown to this many bytes ends."""


Entry = tuple[int, str, str]
"""A change, its site, and the rest of the record's id."""


async def read_changes(master: Master, keys: Keys, prefix: str, since: int, limit: int) -> Changes:
    """See `ContextStore.changes`; the arguments are checked.

    Raises:
        CursorTooOld: see there.
        StoreError: Redis failed.
    """
    position, listing = read_cursor(since)
    if "/" in prefix:
        page = await _of_one_site(master, keys, prefix, position, limit, listing)
    else:
        page = await _of_many_sites(master, keys, prefix, position, limit, listing)
    if listing and page.more:
        return Changes(page.records, LISTING + page.cursor, True)
    return page


async def _of_one_site(
    master: Master, keys: Keys, prefix: str, since: int, limit: int, listing: bool
) -> Changes:
    site, _, rest_prefix = prefix.partition("/")
    used = (keys.sequence, keys.floors, keys.records(site), keys.order(site))
    found: dict[str, Record] = {}
    cursor, room = since, MAX_BYTES
    while True:
        asked = 0 if listing else 1
        (answer,) = await master.script(
            PAGE, used, (site, rest_prefix, cursor, asked, limit - len(found), SCAN, room)
        )
        if answer[0] == b"old":
            raise CursorTooOld(cursor, int(answer[1]))
        _, now_us, newest, last, done, *rows = answer
        now = int(now_us) / 1e6
        for raw_rest, raw in zip(rows[::2], rows[1::2], strict=True):
            record = as_seen(parse(join_id(site, raw_rest.decode()), raw), now)
            # Written again since the last round: it moved to its newest change.
            found.pop(record.id, None)
            found[record.id] = record
            room -= len(raw)
        if done == b"1":
            return Changes(tuple(found.values()), max(cursor, int(newest)), False)
        cursor = int(last)
        if len(found) == limit or room <= 0:
            return Changes(tuple(found.values()), cursor, True)


async def _of_many_sites(
    master: Master, keys: Keys, prefix: str, since: int, limit: int, listing: bool
) -> Changes:
    # What is written after this comes next time, at a change above the newest read here. It is
    # read first, so that each site's entries up to it are complete.
    newest_raw, sites_raw = await master.ask(
        ("GET", keys.sequence), ("ZRANGEBYSCORE", keys.sites, f"({since}", "+inf")
    )
    newest = int(newest_raw or 0)
    sites = [site for site in map(bytes.decode, sites_raw) if site.startswith(prefix)]
    merged, horizon = await _merged(master, keys, sites, since, newest, limit)
    chosen = [entry for entry in merged if entry[0] <= horizon][:limit]
    texts, now, floors = await _texts(master, keys, chosen, since)
    if not listing:
        old = [floor for site, floor in floors.items() if site.startswith(prefix)]
        if old:
            raise CursorTooOld(since, max(old))
    del chosen[len(texts) :]
    more = len(chosen) < len(merged) or horizon < newest
    # Where there is more, something was chosen: an order of one entry reaches the horizon.
    cursor = chosen[-1][0] if more else max(since, newest)
    records = (
        as_seen(parse(join_id(site, rest), raw), now)
        for (_, site, rest), raw in zip(chosen, texts, strict=True)
        if raw is not None
    )
    # What was written again meanwhile comes next time, at its newest change.
    return Changes(tuple(record for record in records if record.change <= newest), cursor, more)


async def _merged(
    master: Master, keys: Keys, sites: Sequence[str], since: int, newest: int, limit: int
) -> tuple[list[Entry], int]:
    """The entries of the sites by change, and up to which change they are all there are."""
    if not sites:
        return [], newest
    each = min(limit + 1, max(1, ENTRIES // len(sites)))
    span = (f"({since}", newest, "WITHSCORES", "LIMIT", 0, each)
    listed = await master.ask(*(("ZRANGEBYSCORE", keys.order(site), *span) for site in sites))
    ends = [int(entries[-1]) for entries in listed if len(entries) == 2 * each]
    return list(heapq.merge(*map(_entries, sites, listed))), min(ends, default=newest)


async def _texts(
    master: Master, keys: Keys, entries: Sequence[Entry], since: int
) -> tuple[list[bytes | None], float, dict[str, int]]:
    """The texts of the first entries, the time (s), and the floors above ``since`` by site."""
    texts: list[bytes | None] = []
    size, room = FIRST, MAX_BYTES
    while True:
        part = entries[len(texts) : len(texts) + size]
        by_site: dict[str, list[str]] = {}
        for _, site, rest in part:
            by_site.setdefault(site, []).append(rest)
        *found, (seconds, micros), floors = await master.ask(
            *(("HMGET", keys.records(site), *rests) for site, rests in by_site.items()),
            ("TIME",),
            # Last, so that it tells of what was forgotten before the texts were read.
            ("ZRANGEBYSCORE", keys.floors, f"({since}", "+inf", "WITHSCORES"),
        )
        queues = {site: iter(raws) for site, raws in zip(by_site, found, strict=True)}
        read = [next(queues[site]) for _, site, _ in part]
        texts += read
        largest = max((len(raw) for raw in read if raw is not None), default=1)
        room -= sum(len(raw) for raw in read if raw is not None)
        size = room // largest
        if size < 1 or len(texts) == len(entries):
            pairs = zip(floors[::2], floors[1::2], strict=True)
            above = {site.decode(): int(floor) for site, floor in pairs}
            return texts, int(seconds) + int(micros) / 1e6, above


def _entries(site: str, entries: Iterable[bytes]) -> Iterator[Entry]:
    pairs = iter(entries)
    for rest, change in zip(pairs, pairs, strict=True):
        yield int(change), site, rest.decode()
