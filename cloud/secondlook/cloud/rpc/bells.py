"""Wakes those who watch, and only those whom a write concerns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from secondlook.shared.errors import Overloaded

ALL = ""
"""Where those are kept whose prefix names no whole site."""


class Watcher:
    """One who watches a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rung = anyio.Event()

    def heard(self, record_id: str) -> None:
        """A record was written; wake up if it is one of mine."""
        if record_id.startswith(self._prefix):
            self._rung.set()

    def listen(self) -> None:
        """Forget earlier rings; do so before reading, so that nothing falls between."""
        if self._rung.is_set():
            self._rung = anyio.Event()

    async def wait(self, at_most_s: float) -> None:
        """Return when something was written since `listen`, or after ``at_most_s`` seconds."""
        with anyio.move_on_after(at_most_s):
            await self._rung.wait()


class Bells:
    """Tells what was written in this process to those who watch.

    Args:
        max_watchers: most who watch at once.
    """

    def __init__(self, max_watchers: int) -> None:
        self._max_watchers = max_watchers
        self._count = 0
        self._sites: dict[str, set[Watcher]] = {}

    @contextmanager
    def watcher(self, prefix: str) -> Iterator[Watcher]:
        """Listen while the block runs.

        Raises:
            Overloaded: too many watch already.
        """
        if self._count >= self._max_watchers:
            raise Overloaded(f"{self._count} watch already; no more are let in")
        site, slash, _ = prefix.partition("/")
        key = site if slash else ALL
        watcher = Watcher(prefix)
        self._count += 1
        self._sites.setdefault(key, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._count -= 1
            here = self._sites[key]
            here.discard(watcher)
            if not here:
                del self._sites[key]

    def ring(self, record_id: str) -> None:
        """A record was written."""
        for key in (record_id.partition("/")[0], ALL):
            for watcher in self._sites.get(key, ()):
                watcher.heard(record_id)
