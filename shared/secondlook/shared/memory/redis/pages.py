"""Pages of changes: of one site in one round trip, of many sites merged."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from secondlook.shared.errors import CursorTooOld
from secondlook.shared.memory.record import Changes, Record
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.master import Master
from secondlook.shared.memory.redis.scripts import PAGE
from secondlook.shared.memory.redis.text import join_id, parse
from secondlook.shared.memory.rules import as_seen

SCAN = 1000
"""Most entries of one site's order that one call of Redis looks at; it must not block long."""
ENTRIES = 20_000
"""Most entries that are merged into one page, over all sites."""
MAX_BYTES = 4 * 1024 * 1024
"""A page that has grown to this many bytes ends."""
LISTING = 1 << 62
"""Added to a cursor within a listing from 0.

A full listing begins below the floor and must get past it: the cursor itself says that it is one.
"""


async def read_changes(master: Master, keys: Keys, prefix: str, since: int, limit: int) -> Changes:
    """See `ContextStore.changes`; the arguments are checked.

    Raises:
        CursorTooOld: see there.
        StoreError: Redis failed.
    """
    listing = since == 0 or since >= LISTING
    position = since - LISTING if since >= LISTING else since
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
    each = min(limit + 1, max(1, ENTRIES // max(1, len(sites))))
    listed = (
        await master.ask(
            *(
                (
                    "ZRANGEBYSCORE",
                    keys.order(site),
                    f"({since}",
                    newest,
                    "WITHSCORES",
                    "LIMIT",
                    0,
                    each,
                )
                for site in sites
            )
        )
        if sites
        else []
    )
    # Beyond the last entry of a site whose list was cut, order is not known.
    horizon = min(
        (int(entries[-1]) for entries in listed if len(entries) == 2 * each), default=newest
    )
    merged = list(heapq.merge(*map(_entries, sites, listed)))
    chosen = [entry for entry in merged if entry[0] <= horizon][:limit]
    more = len(chosen) < len(merged) or horizon < newest
    cursor = (chosen[-1][0] if chosen else horizon) if more else max(since, newest)

    by_site: dict[str, list[str]] = {}
    for _, site, rest in chosen:
        by_site.setdefault(site, []).append(rest)
    (seconds, micros), *texts, floors = await master.ask(
        ("TIME",),
        *(("HMGET", keys.records(site), *rests) for site, rests in by_site.items()),
        # Last, so that it tells of what was forgotten before the texts were read.
        ("ZRANGEBYSCORE", keys.floors, f"({since}", "+inf", "WITHSCORES"),
    )
    if not listing:
        old = [
            int(score)
            for site, score in zip(floors[::2], floors[1::2], strict=True)
            if site.decode().startswith(prefix)
        ]
        if old:
            raise CursorTooOld(since, max(old))
    now = int(seconds) + int(micros) / 1e6
    records = sorted(
        (
            as_seen(parse(join_id(site, rest), raw), now)
            for (site, rests), raws in zip(by_site.items(), texts, strict=True)
            for rest, raw in zip(rests, raws, strict=True)
            if raw is not None
        ),
        key=lambda record: record.change,
    )
    kept = tuple(record for record in records if record.change <= newest)
    return Changes(kept, cursor, more)


def _entries(site: str, entries: Iterable[bytes]) -> Iterator[tuple[int, str, str]]:
    pairs = iter(entries)
    for rest, score in zip(pairs, pairs, strict=True):
        yield int(score), site, rest.decode()
