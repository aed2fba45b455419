"""Writers whose every step is recorded, as coroutines and as processes.

::

    python -m support.history_work '{"name": "w1", "url": "redis://...", "folder": "...", ...}'

A writer adds to ledgers (records that are only added to), churns others (saved and deleted, often
expecting a version that no longer stands), reads, and sends batches. What fails is sent again with
the same origin until it is answered, so that in the end no outcome is unknown, but for those of
writers that were killed.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import anyio

from secondlook.shared.errors import (
    DeadlineExceeded,
    NotFound,
    Overloaded,
    StoreError,
    Unavailable,
    VersionConflict,
)
from secondlook.shared.memory import ContextStore, open_store
from secondlook.shared.memory.merging import Latest, Rule
from secondlook.shared.memory.record import Origin, Record, Write
from support.echo import echoing
from support.history import Recorder, RecordingStore
from support.history_ledger import LEDGER, added, member

T = TypeVar("T")

UNCERTAIN = (StoreError, Unavailable, DeadlineExceeded, Overloaded)
"""After these nobody knows whether a write happened."""
LEDGERS = tuple(f"site/cam/ledger/{number}" for number in range(12))
CHURN = tuple(f"site/cam/churn/{number}" for number in range(6))


@dataclass(frozen=True)
class Task:
    """What a process of writers is to do.

    Attributes:
        name: of the process; its writers are ``name-0``, ``name-1``, ...
        url: of the store.
        folder: where the history goes, and where the file ``stop`` says that it is enough.
        seed: of its dice.
        writers: how many, each with a store of its own.
        operations: each does at least so many, and goes on until it is stopped.
        echoes: share of the writes that arrive once more, later.
        pause_s: between two steps of a writer, on average.
        wait_replicas: see `open_store`.
    """

    name: str
    url: str
    folder: str
    seed: int
    writers: int = 2
    operations: int = 200
    echoes: float = 0.05
    pause_s: float = 0.0
    wait_replicas: int = 0

    def command(self) -> list[str]:
        """The command line of the process."""
        return [sys.executable, "-m", "support.history_work", json.dumps(asdict(self))]


class Writer:
    """One writer; it does one thing at a time.

    Args:
        name: its name, which no other writer has ever had.
        store: where it writes.
        dice: what it does.
        pause_s: between two steps, on average.
    """

    def __init__(
        self, name: str, store: RecordingStore, dice: random.Random, pause_s: float = 0.0
    ) -> None:
        self._name = name
        self._store = store
        self._dice = dice
        self._pause_s = pause_s
        self._seen: dict[str, int] = {}
        self._last_token = 0
        self.done = 0

    async def work(self, operations: int, enough: Callable[[], bool]) -> None:
        """Do at least so much, and go on until it is enough."""
        steps = (self._add, self._churn, self._churn, self._read, self._batch)
        while self.done < operations or not enough():
            await self._dice.choice(steps)()
            self.done += 1
            await anyio.sleep(self._dice.uniform(0, 2 * self._pause_s))

    async def _add(self) -> None:
        record_id = self._dice.choice(LEDGERS)
        name = member(f"{self._name}.{self.done}", self._dice.randint(1, 9))
        stamp = time.monotonic()
        recorder = self._store.recorder
        number = recorder.invoke(self._store.name, "add", record_id, content=name, stamp=stamp)
        current: Record | None = None
        with suppress(NotFound):
            current = await self._insist(lambda: self._store.load(record_id))
        while True:
            data = added({} if current is None else current.data, name, stamp)
            write = self._write(record_id, data, 0 if current is None else current.version)
            try:
                await self._insist(lambda write=write: self._send(write))
            except VersionConflict as conflict:
                current = conflict.current
                await anyio.sleep(self._dice.uniform(0, 0.01))
            else:
                break
        recorder.end(number, "ok")

    async def _churn(self) -> None:
        write = self._guess()
        try:
            record = await self._insist(lambda: self._send(write))
            self._seen[write.id] = 0 if record.deleted else record.version
        except VersionConflict as conflict:
            self._seen[write.id] = conflict.actual
        except NotFound:
            self._seen[write.id] = 0

    async def _read(self) -> None:
        record_id = self._dice.choice(LEDGERS + CHURN)
        self._seen[record_id] = 0
        with suppress(NotFound):
            record = await self._insist(lambda: self._store.load(record_id))
            self._seen[record_id] = record.version

    async def _batch(self) -> None:
        writes = {write.id: write for write in (self._guess() for _ in range(4))}
        outcomes = await self._insist(lambda: self._store.apply(list(writes.values())))
        for record_id, outcome in zip(writes, outcomes, strict=True):
            if outcome.record is not None:
                self._seen[record_id] = 0 if outcome.record.deleted else outcome.record.version
            elif isinstance(outcome.error, VersionConflict):
                self._seen[record_id] = outcome.error.actual
            else:
                self._seen[record_id] = 0

    def _guess(self) -> Write:
        """A write that expects what was seen last, which may be long ago."""
        record_id = self._dice.choice(CHURN)
        version = self._seen.get(record_id, 0)
        if version and self._dice.random() < 0.3:
            return self._write(record_id, None, version)
        padding = "ü" * self._dice.randint(0, 60)
        data = {"by": self._name, "n": self.done, "stamp": time.monotonic(), "padding": padding}
        return self._write(record_id, data, version)

    def _write(self, record_id: str, data: dict[str, object] | None, expected: int) -> Write:
        self._last_token += 1
        origin = Origin(self._name, f"{self._last_token:020d}")
        return Write(record_id, data, expected, self._name, origin=origin)

    async def _send(self, write: Write) -> Record:
        if write.data is None:
            return await self._store.delete(
                write.id, write.expected_version, writer=write.writer, origin=write.origin
            )
        return await self._store.save(
            write.id, write.data, write.expected_version, writer=write.writer, origin=write.origin
        )

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer."""
        while True:
            with suppress(*UNCERTAIN):
                return await call()
            await anyio.sleep(self._dice.uniform(0.005, 0.05))


def rules(record_id: str) -> Rule:
    """How two changes of the records here are merged."""
    return LEDGER if record_id in LEDGERS else Latest("stamp")


async def run_task(task: Task) -> None:
    """All writers of a process, until the file ``stop`` is there."""
    folder = Path(task.folder)
    with Recorder(folder / f"{task.name}.history", task.name) as recorder:

        async def one(number: int) -> None:
            name = f"{task.name}-{number}"
            dice = random.Random(f"{task.seed} {name}")
            store = await opened(task.url, task.wait_replicas)
            try:
                async with echoing(store, dice, task.echoes) as echo:
                    writer = Writer(
                        name, RecordingStore(echo, recorder, "cloud"), dice, task.pause_s
                    )
                    await writer.work(task.operations, (folder / "stop").exists)
            finally:
                await store.close()

        async with anyio.create_task_group() as tasks:
            for number in range(task.writers):
                tasks.start_soon(one, number)


async def opened(url: str, wait_replicas: int) -> ContextStore:
    """A store, as soon as there is one."""
    while True:
        with suppress(*UNCERTAIN):
            return await open_store(url, wait_replicas=wait_replicas)
        await anyio.sleep(0.05)


if __name__ == "__main__":
    anyio.run(run_task, Task(**json.loads(sys.argv[1])))
