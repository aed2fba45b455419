"""The memory of a daemon: the local store, what writes to it, and what shares it with the cloud."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.edge.memory.loading import (
    Pins,
    load_pins,
    load_recollection,
    load_site_trust,
    newest_change,
)
from secondlook.edge.memory.lock import locked
from secondlook.edge.memory.meter import MemoryMeter, MemoryTotals
from secondlook.edge.memory.notes import Note, Recollection
from secondlook.edge.memory.settings import MemorySettings, memory_file
from secondlook.edge.memory.sharing import Sharing
from secondlook.edge.memory.writing import NoteWriter
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.clock import Clock
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

_RESTART_S = 10.0
_WATCH_S = 1.0
"""How often the store is looked at: writes of other processes announce themselves nowhere."""
_COMPACT_EVERY_S = 3600.0
_COMPACT_BATCH = 500
_NOTHING: dict[str, TrustWindow] = {}


class Memory:
    """What the cameras of a daemon remember. Nothing here stops an answer.

    Where the store cannot be opened the daemon runs without a memory, and says so.

    Args:
        settings: of the memory.
        uplink: the way to the cloud.
        cameras: ids of all cameras.
        clock: the wall clock of the records.
        registry: where the metrics go.
        environ: the environment; says where the file is where the settings do not.
    """

    def __init__(
        self,
        settings: MemorySettings,
        uplink: UplinkSettings,
        cameras: tuple[str, ...],
        clock: Clock,
        registry: CollectorRegistry,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._uplink = uplink
        self._cameras = cameras
        self._clock = clock
        self._environ = environ
        self._meter = MemoryMeter(registry)
        self._store: SqliteStore | None = None
        self._writer: NoteWriter | None = None
        self._sharing: Sharing | None = None
        self._pins = Pins({}, {})
        self._site_trust: dict[str, dict[str, TrustWindow]] = {}

    @property
    def totals(self) -> MemoryTotals:
        """How it is, and what was counted."""
        return self._meter.totals

    def model_of(self, camera: str) -> str:
        """The heavy model that a camera asks for; empty for the service's default."""
        return self._pins.models.get(camera) or self._uplink.model

    def site_trust(self, camera: str) -> dict[str, TrustWindow]:
        """What the camera's site has certified; another object where that has changed."""
        return self._site_trust.get(camera, _NOTHING)

    def note(self, camera: str, notes: list[Note]) -> None:
        """Take in what a camera wants remembered; returns at once."""
        if self._writer is not None:
            self._writer.note(camera, notes)

    async def recall(self, camera: str) -> Recollection | None:
        """What is known about a camera; ``None`` where nothing is remembered at all.

        It takes no longer than the settings allow: then the camera starts with nothing known.
        """
        store, writer = self._store, self._writer
        if store is None or writer is None:
            return None
        found = Recollection()
        try:
            with anyio.fail_after(self._settings.recall_timeout_s):
                # What a camera that broke down had noted is known to the one that follows it.
                await writer.flush()
                now = self._clock.wall()
                self._pin(await load_pins(store, self._cameras, now))
                found = await load_recollection(store, camera, now)
        except SecondlookError as error:
            self._meter.failed()
            _log.error("nothing is recalled", camera=camera, error=str(error))
        except TimeoutError:
            self._meter.failed()
            _log.error("nothing is recalled: the store takes too long", camera=camera)
        recalled = len(found.verdicts) + len(found.false_positives)
        self._meter.recalled(recalled, found.skipped)
        if recalled:
            _log.info(
                "recalled",
                camera=camera,
                verdicts=len(found.verdicts),
                false_positives=len(found.false_positives),
            )
        return found

    async def drain(self, timeout_s: float) -> None:
        """Write what waits, and let the cloud have it, within a bounded time."""
        if self._writer is None:
            return
        with anyio.move_on_after(timeout_s):
            await self._writer.flush()
            if self._sharing is not None:
                await self._sharing.last()
        if self._writer.waiting:
            _log.warning("not remembered: the store did not take it", records=self._writer.waiting)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Remember while the block runs."""
        if not self._settings.enabled:
            yield
            return
        async with AsyncExitStack() as stack:
            try:
                store = await self._open(stack)
            except SecondlookError as error:
                self._meter.state("failed")
                _log.error("nothing is remembered: the memory cannot be opened", error=str(error))
                yield
                return
            self._store = store
            self._writer = NoteWriter(
                store, self._settings, self._cameras, self._meter, self._written
            )
            self._meter.state("on")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_contained, self._writer.run)
                tasks.start_soon(_contained, lambda: self._compact(store))
                tasks.start_soon(_contained, lambda: self._watch(store))
                if self._uplink.enabled and self._settings.sync.enabled:
                    self._sharing = await stack.enter_async_context(self._shared(store))
                    tasks.start_soon(_contained, self._sharing.run)
                try:
                    yield
                finally:
                    self._writer = self._store = self._sharing = None
                    tasks.cancel_scope.cancel()

    def _shared(self, store: SqliteStore) -> AbstractAsyncContextManager[Sharing]:
        return Sharing.opened(
            store, self._settings, self._uplink, self._cameras, self._clock, self._meter
        )

    async def _open(self, stack: AsyncExitStack) -> SqliteStore:
        path = memory_file(self._settings, self._environ)
        await stack.enter_async_context(locked(path))
        store = await SqliteStore.open(path, clock=self._clock, max_bytes=self._settings.max_bytes)
        stack.push_async_callback(_closed, store)
        return store

    def _written(self) -> None:
        if self._sharing is not None:
            self._sharing.wake()

    async def _watch(self, store: SqliteStore) -> None:
        """See now and then what changed: another model may be pinned, by the cloud or by hand."""
        seen = -1
        while True:
            try:
                newest = await newest_change(store)
                if newest != seen:
                    now = self._clock.wall()
                    self._pin(await load_pins(store, self._cameras, now))
                    self._certify(await load_site_trust(store, self._cameras, now))
                    seen = newest
                if self._sharing is not None:
                    await self._sharing.tell()
            except SecondlookError as error:
                self._meter.failed()
                _log.error("the memory cannot be read", error=str(error))
            await anyio.sleep(_WATCH_S)

    def _pin(self, pins: Pins) -> None:
        before, self._pins = self._pins, pins
        for camera in self._cameras:
            model, problem = pins.models.get(camera), pins.problems.get(camera)
            if model != before.models.get(camera):
                _log.info("heavy model", camera=camera, model=model or "by the settings")
            if problem is not None and problem != before.problems.get(camera):
                self._meter.recalled(0, 1)
                _log.warning("a pin is skipped", camera=camera, error=problem)

    def _certify(self, found: dict[str, dict[str, TrustWindow]]) -> None:
        """Keep what is as it was: who compares objects sees what is new."""
        for camera, windows in found.items():
            if windows != self._site_trust.get(camera, _NOTHING):
                self._site_trust[camera] = windows

    async def _compact(self, store: SqliteStore) -> None:
        """Forget tombstones that are old enough, now and then."""
        while True:
            try:
                while (
                    await store.compact(self._settings.tombstones_s, _COMPACT_BATCH)
                    == _COMPACT_BATCH
                ):
                    pass
            except SecondlookError as error:
                self._meter.failed()
                _log.error("the memory cannot be compacted", error=str(error))
            await anyio.sleep(_COMPACT_EVERY_S)


async def _contained(work: Callable[[], Awaitable[None]]) -> None:
    """Run for ever. A bug of the memory takes no camera down."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001, PERF203 - a bug here must not stop the cameras
            _log.exception("the memory broke down; it starts again")
            await anyio.sleep(_RESTART_S)


async def _closed(store: SqliteStore) -> None:
    with anyio.CancelScope(shield=True):
        await store.close()
