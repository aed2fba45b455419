"""The recorded history of a context memory: who asked for what, and what came of it.

Each process writes its events to a file of its own, one line an event, at once: a process killed
with -9 leaves everything it began, and what it did not end has an unknown outcome. Times are of
the monotonic clock, which all processes of one machine share.

::

    with Recorder(folder / "edge-1.history", "edge-1") as recorder:
        store = RecordingStore(await open_store(url), recorder, "cloud")
    ...
    operations = read_history(folder)
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from secondlook.shared.errors import (
    InvalidInput,
    NotFound,
    PermissionDenied,
    SecondlookError,
    VersionConflict,
)
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import (
    Changes,
    Document,
    Origin,
    Outcome,
    Record,
    Write,
    encode,
)

TOMBSTONE = "tombstone"
"""What stands instead of a digest where a record was deleted."""


@dataclass(frozen=True)
class Operation:
    """One attempt at one thing, from the call to what came of it.

    Attributes:
        process: who asked.
        store: which store was asked.
        verb: ``save``, ``delete``, ``load``; or ``add``, a client's change of a counter and a set.
        record: id of the record.
        expected: version the write expects.
        content: digest of what it writes, or `TOMBSTONE`; the member, for ``add``.
        origin: ``replica:token``; attempts with one origin are one write. Empty: none.
        invoked: when it was asked, monotonic.
        ended: when the answer came; infinite where none did.
        outcome: ``ok``, ``conflict`` (something else stands), ``absent`` (nothing stands),
            ``refused`` (certainly not written) or ``unknown``.
        version: the version in the answer; 0: none.
        seen: digest of what stands according to the answer, or `TOMBSTONE`; empty: not told.
        repeat: the answer says that the write had happened before.
        stamp: what the register got, for ``add``.
    """

    process: str
    store: str
    verb: str
    record: str
    expected: int = 0
    content: str = ""
    origin: str = ""
    invoked: float = 0.0
    ended: float = float("inf")
    outcome: str = "unknown"
    version: int = 0
    seen: str = ""
    repeat: bool = False
    stamp: float = 0.0


def digest(data: Document, deleted: bool = False) -> str:
    """A short name of a document's content."""
    if deleted:
        return TOMBSTONE
    return hashlib.blake2b(encode(data), digest_size=8).hexdigest()


def content_of(record: Record) -> str:
    """A short name of what a record says."""
    return digest(record.data, record.deleted)


class Recorder:
    """Appends events to one file.

    Args:
        file: made if it is not there.
        process: who records.
    """

    def __init__(self, file: Path, process: str) -> None:
        self.process = process
        self._out = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        # A process that was killed and started again must not reuse numbers.
        self._numbers = itertools.count(time.monotonic_ns())

    def invoke(self, store: str, verb: str, record: str, **fields: Any) -> int:
        """Something is about to be asked; returns its number, for `end`."""
        number = next(self._numbers)
        self._write({"n": number, "store": store, "verb": verb, "record": record, **fields})
        return number

    def end(self, number: int, outcome: str, **fields: Any) -> None:
        """The answer came."""
        self._write({"n": number, "outcome": outcome, **fields})

    def _write(self, event: dict[str, Any]) -> None:
        line = {"at": time.monotonic(), "process": self.process, **event}
        os.write(self._out, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class RecordingStore:
    """A `ContextStore` that records every attempt at another one.

    Attributes:
        store: the one that does it.
        recorder: where it is written down.
        name: what the store is called in the history.
    """

    store: ContextStore
    recorder: Recorder
    name: str

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        with self._attempt("save", record_id, expected_version, digest(data), origin) as number:
            record = await self.store.save(
                record_id, data, expected_version, writer=writer, ttl_s=ttl_s, origin=origin
            )
            self._stands(number, record)
        return record

    async def load(self, record_id: str) -> Record:
        with self._attempt("load", record_id) as number:
            record = await self.store.load(record_id)
            self._stands(number, record)
        return record

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        with self._attempt("delete", record_id, expected_version, TOMBSTONE, origin) as number:
            record = await self.store.delete(
                record_id, expected_version, writer=writer, origin=origin
            )
            self._stands(number, record)
        return record

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        numbers = [self._invoke_write(write) for write in writes]
        outcomes = await self.store.apply(writes)
        for number, outcome in zip(numbers, outcomes, strict=True):
            if outcome.error is not None:
                self._failed(number, outcome.error)
            else:
                assert outcome.record is not None
                self._stands(number, outcome.record, outcome.repeat)
        return outcomes

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        return await self.store.changes(prefix, since, limit)

    async def ping(self) -> None:
        await self.store.ping()

    async def close(self) -> None:
        await self.store.close()

    def __getattr__(self, name: str) -> Any:
        # What stores offer beyond the protocol (watching, compaction) passes unrecorded.
        return getattr(self.store, name)

    def _invoke_write(self, write: Write) -> int:
        return self.recorder.invoke(
            self.name,
            "delete" if write.data is None else "save",
            write.id,
            expected=write.expected_version,
            content=TOMBSTONE if write.data is None else digest(write.data),
            origin=_name(write.origin),
        )

    @contextmanager
    def _attempt(
        self,
        verb: str,
        record_id: str,
        expected: int = 0,
        content: str = "",
        origin: Origin | None = None,
    ) -> Iterator[int]:
        number = self.recorder.invoke(
            self.name, verb, record_id, expected=expected, content=content, origin=_name(origin)
        )
        try:
            yield number
        except SecondlookError as error:
            self._failed(number, error)
            raise

    def _stands(self, number: int, record: Record, repeat: bool = False) -> None:
        self.recorder.end(
            number, "ok", version=record.version, seen=content_of(record), repeat=repeat
        )

    def _failed(self, number: int, error: SecondlookError) -> None:
        if isinstance(error, VersionConflict) and error.current is not None:
            self.recorder.end(
                number, "conflict", version=error.actual, seen=content_of(error.current)
            )
        elif isinstance(error, (VersionConflict, NotFound)):
            self.recorder.end(number, "absent")
        elif isinstance(error, (InvalidInput, PermissionDenied)):
            self.recorder.end(number, "refused")
        else:
            self.recorder.end(number, "unknown")


def _name(origin: Origin | None) -> str:
    return "" if origin is None else f"{origin.replica}:{origin.token}"


async def everything(store: ContextStore) -> dict[str, Record]:
    """All records of a store, tombstones included."""
    found: dict[str, Record] = {}
    cursor, more = 0, True
    while more:
        page = await store.changes("", cursor, 1000)
        found |= {record.id: record for record in page.records}
        cursor, more = page.cursor, page.more
    return found


def read_history(folder: Path) -> list[Operation]:
    """What all ``*.history`` files of a folder tell, in the order of invocation.

    They may grow meanwhile: a line without an end is not there yet.
    """
    operations: list[Operation] = []
    for file in sorted(folder.glob("*.history")):
        whole, end, _ = file.read_text().rpartition("\n")
        operations += parse_history((whole + end).splitlines())
    return sorted(operations, key=lambda operation: operation.invoked)


def parse_history(lines: Iterable[str]) -> list[Operation]:
    """The operations of one process; what has no end has an unknown outcome."""
    begun: dict[int, dict[str, Any]] = {}
    for line in lines:
        event = json.loads(line)
        number, at = event.pop("n"), event.pop("at")
        if number in begun:
            del event["process"]
            # Nobody knows when, or whether, what failed took effect.
            begun[number] |= event if event["outcome"] == "unknown" else {**event, "ended": at}
        else:
            begun[number] = {**event, "invoked": at}
    return [Operation(**fields) for fields in begun.values()]
