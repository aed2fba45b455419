"""Reads the windows of all cameras from the context memory, writes the certificates of sites."""

from __future__ import annotations

from collections import defaultdict

import anyio.to_thread

from secondlook.shared.errors import CursorTooOld, InvalidInput, VersionConflict
from secondlook.shared.memory.kinds import context_id, kind_of
from secondlook.shared.memory.kinds.trust import TrustWindow
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Record
from secondlook.shared.memory.rules import MAX_LIMIT
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust.pooling import SITE_CAMERA, as_site_record, group_name, groups, pool
from secondlook.shared.trust.records import window_key

_log = get_logger(__name__)

PERIOD_S = 86_400.0
"""How far apart the ends of windows may be that are pooled."""
KEEP_S = 90 * 86_400.0
"""How long a site's certificate is kept for people."""
AHEAD_S = 3600.0
"""How far the clock of a camera may be ahead."""
MAX_WINDOWS = 20_000
"""Most windows of a site held in memory; the oldest beyond that are forgotten."""
MAX_CAMERA = 128
"""Longest id of a camera that a site's record names."""


class SiteCertifier:
    """Certifies sites. Call `round` now and then; each reads only what has changed since the last.

    Several services may do so on one store: the same windows give the same record, and who comes
    second leaves it as it is. A record is ``SITE/_site/trust/KEY``: a device that may write its own
    cameras alone cannot write it, and reads it where ``SITE/_site`` is among its ``reads``.

    Args:
        store: of the cloud.
        writer: who writes.
        period_s: how far apart the ends of windows may be that are pooled, seconds.
        keep_s: time to live of a site's record, seconds.
    """

    def __init__(
        self,
        store: ContextStore,
        *,
        writer: str,
        period_s: float = PERIOD_S,
        keep_s: float = KEEP_S,
    ) -> None:
        self._store = store
        self._writer = writer
        self._period_s = period_s
        self._keep_s = keep_s
        self._cursor = 0
        self._windows: dict[str, dict[str, TrustWindow]] = {}
        self._changed: set[str] = set()

    async def round(self, now_s: float) -> list[Record]:
        """Certify every site whose windows have changed. Returns what was written.

        Args:
            now_s: wall clock, seconds since the Unix epoch.

        Raises:
            StoreError, Unavailable: the store failed; the next round goes on from there.
        """
        await self._read()
        written = []
        for site in sorted(self._changed):
            written += await self._certify(site, now_s)
            self._changed.discard(site)
        return written

    async def _read(self) -> None:
        more = True
        while more:
            try:
                page = await self._store.changes("", self._cursor, MAX_LIMIT)
            except CursorTooOld:
                self._cursor = 0
                self._windows.clear()
                continue
            for record in page.records:
                self._take(record)
            self._cursor, more = page.cursor, page.more

    def _take(self, record: Record) -> None:
        if kind_of(record.id) != TrustWindow.KIND:
            return
        site, camera = record.id.split("/")[:2]
        if camera == SITE_CAMERA or len(f"{site}/{camera}") > MAX_CAMERA:
            return
        windows = self._windows.setdefault(site, {})
        if record.deleted:
            windows.pop(record.id, None)
            return
        try:
            window = TrustWindow.of(record.data)
        except InvalidInput as error:
            _log.warning("a record is skipped", record=record.id, error=str(error))
            return
        if window.ended_s is not None:
            windows[record.id] = window
            self._changed.add(site)
            if len(windows) > MAX_WINDOWS:
                windows.pop(min(windows, key=lambda key: windows[key].ended_s or 0.0))

    async def _certify(self, site: str, now_s: float) -> list[Record]:
        windows = self._windows[site]
        for record_id, window in list(windows.items()):
            if (window.ended_s or 0.0) < now_s - 2 * self._period_s:
                del windows[record_id]
        by_camera: dict[str, list[TrustWindow]] = defaultdict(list)
        for record_id, window in windows.items():
            # A clock that is far ahead must not make all others look old.
            if (window.ended_s or 0.0) <= now_s + AHEAD_S:
                by_camera["/".join(record_id.split("/")[:2])].append(window)
        written = []
        for group in groups(by_camera, self._period_s):
            record = await self._write(site, group, now_s)
            if record is not None:
                written.append(record)
        return written

    async def _write(
        self, site: str, group: dict[str, list[TrustWindow]], now_s: float
    ) -> Record | None:
        # The first time, scipy is read from the disk.
        pooled = await anyio.to_thread.run_sync(pool, group)
        data = as_site_record(pooled, now_s)
        # Named after what is in it, so that two services write the same record.
        ended = window_key(pooled.certificate.ended_s, sum(map(len, group.values())))
        key = f"{ended}-{group_name(group)}"
        record_id = context_id(f"{site}/{SITE_CAMERA}", TrustWindow, key)
        try:
            return await self._store.save(
                record_id, data.document(), 0, writer=self._writer, ttl_s=self._keep_s
            )
        except VersionConflict:
            return None
