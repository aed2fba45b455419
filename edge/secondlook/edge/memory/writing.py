"""Carries notes from the cameras' backlogs to the local store, some time after."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from secondlook.edge.memory.backlog import Backlog
from secondlook.edge.memory.meter import MemoryMeter
from secondlook.edge.memory.notes import Note
from secondlook.edge.memory.settings import MemorySettings
from secondlook.shared.errors import (
    InvalidInput,
    MergeConflict,
    NotFound,
    SecondlookError,
    VersionConflict,
)
from secondlook.shared.memory import ContextStore, Record
from secondlook.shared.memory.kinds import (
    FalsePositive,
    Kind,
    TrackVerdict,
    TrustWindow,
    context_id,
)
from secondlook.shared.memory.merging import merge
from secondlook.shared.memory.record import Document, Write
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

BATCH = 64
"""Records written together: a short transaction, since recalls and pulls wait for it."""
_ROUNDS = 4
"""Attempts to write a record that others write too."""
_RETRY_S = 1.0
_RETRY_MAX_S = 60.0


class NoteWriter:
    """Writes what cameras note. Nothing that the store does reaches a camera.

    Args:
        store: the local store.
        settings: of the memory.
        cameras: ids of all cameras.
        meter: counts.
        wrote: called after records were written.
    """

    def __init__(
        self,
        store: ContextStore,
        settings: MemorySettings,
        cameras: tuple[str, ...],
        meter: MemoryMeter,
        wrote: Callable[[], None],
    ) -> None:
        self._wrote = wrote
        self._store = store
        self._settings = settings
        self._writer = settings.writer()
        self._meter = meter
        self._backlogs: Mapping[str, Backlog] = {
            camera: Backlog(settings.queue) for camera in cameras
        }
        self._arrived = anyio.Event()
        self._writing = anyio.Lock()
        self._failing = False

    @property
    def waiting(self) -> int:
        """Records that wait to be written."""
        return sum(len(backlog) for backlog in self._backlogs.values())

    def note(self, camera: str, notes: list[Note]) -> None:
        """Take in notes of a camera; returns at once."""
        backlog = self._backlogs[camera]
        dropped = backlog.dropped
        for note in notes:
            backlog.put(context_id(camera, note.kind, note.key), note)
        self._meter.dropped(backlog.dropped - dropped)
        if notes:
            self._meter.waiting(self.waiting)
            self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled."""
        pause_s = _RETRY_S
        while True:
            await self._arrived.wait()
            await anyio.sleep(self._settings.write_every_s)
            self._arrived = anyio.Event()
            if await self.flush():
                pause_s = _RETRY_S
            else:
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MAX_S)
                self._arrived.set()

    async def flush(self) -> bool:
        """Write all that waits; returns whether the store took it."""
        async with self._writing:
            for backlog in self._backlogs.values():
                while len(backlog):
                    if not await self._write_some(backlog):
                        return False
            self._wrote()
            return True

    async def _write_some(self, backlog: Backlog) -> bool:
        notes = backlog.take(BATCH)
        left = notes
        try:
            for _ in range(_ROUNDS):
                left = await self._attempt(left)
                if not left:
                    break
            else:
                self._meter.lost(len(left), "conflict")
        except SecondlookError as error:
            before = backlog.dropped
            backlog.give_back(left.items())
            self._meter.dropped(backlog.dropped - before)
            self._fail(error)
            return False
        finally:
            self._meter.waiting(self.waiting)
        if self._failing:
            self._failing = False
            _log.info("the memory is written again")
        return True

    async def _attempt(self, notes: dict[str, Note]) -> dict[str, Note]:
        """Write each note once; returns those that met another writer.

        Raises:
            SecondlookError: the store failed; what was written may be written again.
        """
        writes = []
        for record_id, note in notes.items():
            write = await self._prepare(record_id, note)
            if write is not None:
                writes.append(write)
        again = {}
        for write, outcome in zip(writes, await self._store.apply(writes), strict=True):
            if outcome.error is None:
                self._meter.written()
            elif isinstance(outcome.error, (VersionConflict, NotFound)):
                again[write.id] = notes[write.id]
            elif outcome.error.retriable:
                raise outcome.error
            else:
                self._meter.lost(1, "refused")
                _log.warning("not remembered", record=write.id, error=str(outcome.error))
        return again

    async def _prepare(self, record_id: str, note: Note) -> Write | None:
        """The write that brings a note to the record that stands; ``None`` where there is none."""
        try:
            current: Record | None = await self._store.load(record_id)
        except NotFound:
            current = None
        version = 0 if current is None else current.version
        if note.value is None:
            return None if current is None else Write(record_id, None, version, self._writer)
        data: Document = note.value.document()
        if current is not None:
            try:
                data = united(current.data, note)
            except InvalidInput as error:
                self._meter.lost(1, "unreadable")
                _log.warning("not remembered", record=record_id, error=str(error))
                return None
        return Write(record_id, data, version, self._writer, ttl_s=self._ttl_s(note))

    def _ttl_s(self, note: Note) -> float | None:
        settings = self._settings
        lives: dict[type[Kind], float] = {
            TrackVerdict: settings.verdict_life_s,
            FalsePositive: settings.false_positive_life_s,
            TrustWindow: settings.trust_life_s,
        }
        return lives.get(note.kind)

    def _fail(self, error: SecondlookError) -> None:
        self._meter.failed()
        if not self._failing:
            # Said once, not with each attempt: a full disk may stay full for days.
            self._failing = True
            _log.error("the memory cannot be written; it is tried again", error=str(error))


def united(current: Document, note: Note) -> Document:
    """What a note makes of the data that stands. What is damaged is replaced.

    Raises:
        InvalidInput: a newer Secondlook wrote it.
    """
    assert note.value is not None
    kind = note.kind
    try:
        kind.of(current)
    except InvalidInput:
        schema = current.get("schema")
        if isinstance(schema, int) and schema > kind.SCHEMA:
            raise
        return note.value.document()
    try:
        return merge({}, current, note.value.document(), kind.RULE)
    except MergeConflict:
        return note.value.document()
