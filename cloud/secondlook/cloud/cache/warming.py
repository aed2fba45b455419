"""Takes answers over a restart: reads them from the context memory, and writes them there."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Protocol, TypeGuard, runtime_checkable

import anyio

from secondlook.cloud.cache.engine import CachedEngine
from secondlook.cloud.cache.metrics import CacheMetrics
from secondlook.cloud.cache.records import (
    PARTS,
    KeptVerdict,
    KeptVerdicts,
    chosen,
    part_of,
    record_id,
)
from secondlook.cloud.cache.shelves import Kept, Shelf
from secondlook.shared.background import background_tasks
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidInput, NotFound, SecondlookError, VersionConflict
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.telemetry import get_logger

WRITER = "secondlook-cloud"
KEEP_S = 7 * 86_400.0
"""A record that nobody has written for so long is gone."""
MAX_RECORDS = 8
"""Most records that one round writes."""
TRIES = 3
"""How often a record is written where other replicas write it as well."""
LAST_SAVE_S = 2.0
"""Longest wait for the last round, at shutdown."""

_log = get_logger(__name__)


@runtime_checkable
class Fingerprinted(Protocol):
    """An engine that knows its versions by their content."""

    def fingerprint(self, model: str, version: str = "") -> str:
        """What a version really is, such as the SHA-256 of its file; empty where nobody knows.

        Raises:
            NotFound: no such model or version is ready.
        """
        ...


class Warmth:
    """See the module.

    A version of the same name may be another file after a restart: answers are taken over only
    where the fingerprint is the same. Where no fingerprint is known, none is.

    Args:
        engine: whose answers.
        store: the context memory.
        metrics: where to count.
        wall: the wall clock.
    """

    def __init__(
        self,
        engine: CachedEngine,
        store: ContextStore,
        metrics: CacheMetrics,
        wall: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._store = store
        self._metrics = metrics
        self._wall = wall
        self._saved: dict[tuple[Shelf, int], int] = {}

    async def warm_up(self) -> int:
        """Take over the answers of all detectors; how many. Whatever fails is passed over."""
        total = 0
        for info in self._engine.detectors():
            total += await self._try_to_take_over(info)
        if total:
            self._metrics.warmed(total)
            _log.info("verdict cache warm", answers=total)
        return total

    async def save(self) -> int:
        """Write what was asked for again since the last time; how many records. A round.

        At most `MAX_RECORDS`, those whose answers were asked for most.
        """
        hits = self._hits()
        self._saved = {place: count for place, count in self._saved.items() if place in hits}
        news = {place: count - self._saved.get(place, 0) for place, count in hits.items()}
        written = 0
        for place in sorted(news, key=lambda place: -news[place])[:MAX_RECORDS]:
            if news[place] and await self._try_to_write(*place):
                self._saved[place] = hits[place]
                written += 1
        return written

    async def save_for_ever(self, every_s: float) -> None:
        """A round every ``every_s`` seconds."""
        while True:
            await anyio.sleep(every_s * random.uniform(0.8, 1.2))
            await self.save()

    def _fingerprint(self, info: ModelInfo) -> str:
        """Of the file, its class names, and where it runs: the last bits depend on that."""
        engine = self._engine.engine
        known = engine.fingerprint(info.name, info.version) if _knows(engine) else ""
        names = sha256("\n".join(info.names).encode()).hexdigest()[:16]
        return f"{known}/{names}/{info.provider}" if known else ""

    async def _try_to_take_over(self, info: ModelInfo) -> int:
        try:
            return await self._take_over(info)
        except SecondlookError as error:
            self._metrics.failed()
            _log.warning("cannot warm up", model=info.name, error=str(error))
            return 0

    async def _take_over(self, info: ModelInfo) -> int:
        fingerprint, shelf = self._fingerprint(info), (info.name, info.version)
        if not fingerprint:
            return 0
        answers: list[tuple[bytes, Kept]] = []
        for part in range(PARTS):
            written, _ = await self._standing(record_id(shelf, part), fingerprint)
            answers += [
                (bytes.fromhex(verdict.content), verdict.kept(shelf, info.names))
                for verdict in written
            ]
        # The one asked for most is put last, so that it goes last.
        for content, kept in sorted(answers, key=lambda answer: answer[1].hits):
            self._engine.cache.shelves.put(content, kept, fresh=False)
        self._saved.update(
            {place: hits for place, hits in self._hits().items() if place[0] == shelf}
        )
        return len(answers)

    def _hits(self) -> Counter[tuple[Shelf, int]]:
        """How often the answers of each record have been asked for."""
        shelves, hits = self._engine.cache.shelves, Counter[tuple[Shelf, int]]()
        for shelf in shelves.shelves():
            for content, kept in shelves.on(shelf):
                hits[shelf, part_of(content)] += kept.hits
        return hits

    async def _try_to_write(self, shelf: Shelf, part: int) -> bool:
        try:
            return await self._write(shelf, part)
        except SecondlookError as error:
            self._metrics.failed()
            _log.warning("cannot save verdicts", model=shelf[0], error=str(error))
            return False

    async def _write(self, shelf: Shelf, part: int) -> bool:
        fingerprint = self._fingerprint(self._engine.detector(*shelf))
        if not fingerprint:
            return False
        place = record_id(shelf, part)
        for left in reversed(range(TRIES)):
            standing, expected = await self._standing(place, fingerprint)
            ours = (
                answer
                for answer in self._engine.cache.shelves.on(shelf)
                if part_of(answer[0]) == part
            )
            record = KeptVerdicts(
                fingerprint=fingerprint, verdicts=chosen(ours, standing), at_s=self._wall()
            )
            try:
                await self._store.save(
                    place, record.document(), expected, writer=WRITER, ttl_s=KEEP_S
                )
            except VersionConflict:
                if not left:
                    raise
            else:
                break
        return True

    async def _standing(self, place: str, fingerprint: str) -> tuple[tuple[KeptVerdict, ...], int]:
        """What the record holds of this very version, and the record's version."""
        try:
            record = await self._store.load(place)
        except NotFound:
            return (), 0
        try:
            written = KeptVerdicts.of(record.data)
        except InvalidInput as error:
            self._metrics.failed()
            _log.warning("nonsense in the context memory", record=place, error=str(error))
            return (), record.version
        same = written.fingerprint == fingerprint
        return written.verdicts if same else (), record.version


def _knows(engine: object) -> TypeGuard[Fingerprinted]:
    return isinstance(engine, Fingerprinted)


@asynccontextmanager
async def kept_warm(warmth: Warmth, every_s: float) -> AsyncIterator[None]:
    """Warm up, and write while the block runs and once more when it ends."""
    await warmth.warm_up()
    try:
        async with background_tasks() as tasks:
            tasks.start_soon(warmth.save_for_ever, every_s)
            yield
    finally:
        with anyio.move_on_after(LAST_SAVE_S, shield=True):
            await warmth.save()
