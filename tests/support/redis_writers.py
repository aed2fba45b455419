"""Writers that never give up: each write is repeated with its origin until it is acknowledged."""

from __future__ import annotations

from collections import Counter

import anyio

from secondlook.shared.errors import NotFound, StoreError
from secondlook.shared.memory.record import Origin, Record
from secondlook.shared.memory.redis import RedisStore


class Writers:
    """Some writers, each with a record of its own.

    Attributes:
        acknowledged: record id -> the versions acknowledged, in order.
        failures: how often each kind of failure was met.
    """

    def __init__(self, store: RedisStore, count: int) -> None:
        self._store = store
        self.acknowledged: dict[str, list[int]] = {f"site-{n}/cam/k/x": [] for n in range(count)}
        self.failures: Counter[str] = Counter()
        self._stop = False
        self._grown = anyio.Condition()

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def stop(self) -> None:
        """Let each writer end after the write it is at."""
        self._stop = True

    async def grow(self, more: int) -> None:
        """Wait for so many more acknowledged writes."""
        wanted = self.total + more
        async with self._grown:
            while self.total < wanted:
                await self._grown.wait()

    async def run(self) -> None:
        """All writers, until `stop`."""
        async with anyio.create_task_group() as tasks:
            for record_id in self.acknowledged:
                tasks.start_soon(self._write, record_id)

    async def _write(self, record_id: str) -> None:
        version = 0
        while not self._stop:
            origin = Origin(record_id.partition("/")[0], f"t{version}")
            record = await self._until_acknowledged(record_id, version, origin)
            assert record.data == {"n": version}, (record_id, version, record)
            version = record.version
            self.acknowledged[record_id].append(version)
            async with self._grown:
                self._grown.notify_all()

    async def _until_acknowledged(self, record_id: str, version: int, origin: Origin) -> Record:
        while True:
            try:
                record = await self._store.save(
                    record_id, {"n": version}, version, writer="w", origin=origin
                )
            except StoreError as error:  # noqa: PERF203 - tried again is the point
                self.failures[_kind(error)] += 1
                # Not synchronisation: a caller in earnest waits before it tries again, too.
                await anyio.sleep(0.02)
            else:
                return record

    async def lost(self) -> dict[str, tuple[int, int]]:
        """Record id -> newest version acknowledged, and the lower one that stands."""
        found: dict[str, tuple[int, int]] = {}
        for record_id, versions in self.acknowledged.items():
            if versions:
                try:
                    standing = (await self._store.load(record_id)).version
                except NotFound:
                    standing = 0
                if standing < versions[-1]:
                    found[record_id] = (versions[-1], standing)
        return found


def _kind(error: StoreError) -> str:
    """The failure without what differs each time."""
    cause = error.__cause__
    return type(cause).__name__ if cause is not None else error.message.partition(": ")[2][:40]
