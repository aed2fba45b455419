"""From a file into a store: in batches, each line once, whatever is interrupted or repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import anyio.to_thread

from secondlook.cli.memory.archive import Line, Reader
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import (
    InvalidInput,
    MergeConflict,
    NotFound,
    SecondlookError,
    VersionConflict,
)
from secondlook.shared.memory import ContextStore, Document, Record, merge
from secondlook.shared.memory.kinds import check_known, rule_for
from secondlook.shared.memory.record import Origin, Outcome, Write, encode
from secondlook.shared.memory.rules import MAX_BATCH

MAX_BATCH_BYTES = 2 * 1024 * 1024
ATTEMPTS = 8
"""How often a line meets other writers before the import gives up."""


class OnConflict(str, Enum):
    """What happens to a line whose record stands already, with other data."""

    SKIP = "skip"
    """What stands stays."""

    REPLACE = "replace"
    """The line wins."""

    MERGE = "merge"
    """Both are united by the rule of their kind; a field that no rule decides stays undecided."""

    FAIL = "fail"
    """The import stops."""


@dataclass(slots=True)
class Report:
    """What became of the lines.

    Attributes:
        created: nothing stood; now the record does.
        replaced: the line won over what stood.
        merged: both were united.
        deleted: a record was deleted, because it is in the file as deleted.
        same: it stood already as in the file, or the line was imported before.
        skipped: what stood was left.
        expired: the record's time had come before the import.
        undecided: lines whose two sides no rule unites; what stood was left.
    """

    created: int = 0
    replaced: int = 0
    merged: int = 0
    deleted: int = 0
    same: int = 0
    skipped: int = 0
    expired: int = 0
    undecided: list[tuple[Line, MergeConflict]] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines that are done."""
        return sum(count for _, count in self.counts())

    def counts(self) -> list[tuple[str, int]]:
        """Each outcome and how many lines had it."""
        names = ("created", "replaced", "merged", "deleted", "same", "skipped", "expired")
        counted: list[tuple[str, int]] = [(name, getattr(self, name)) for name in names]
        return [*counted, ("undecided", len(self.undecided))]

    def as_document(self) -> dict[str, Any]:
        """For ``--json``."""
        undecided = [
            {"line": line.number, "id": line.id, "field": conflict.path}
            for line, conflict in self.undecided
        ]
        return {"lines": self.lines, **dict(self.counts()), "undecided": undecided}


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports into one store.

    Attributes:
        store: where to.
        on_conflict: what happens where a record stands already, with other data.
        writer: who imports.
        raw: whether data may differ from the schema of its kind.
        report: what has happened so far.
        clock: tells how long records have still to live.
    """

    store: ContextStore
    on_conflict: OnConflict
    writer: str
    raw: bool = False
    report: Report = field(default_factory=Report)
    clock: Clock = field(default_factory=SystemClock)

    async def run(self, reader: Reader, on_lines: Callable[[int], None]) -> None:
        """Import all lines.

        Args:
            reader: the file.
            on_lines: told how many more lines are done.

        Raises:
            InvalidInput: a line is wrong; names it. All lines before it are imported.
            VersionConflict: a record stands already, and conflicts fail.
            StoreError, Unavailable: the store failed; to import the file again goes on.
        """
        lines = self._checked(reader)
        wrong: SecondlookError | None = None
        while wrong is None:
            batch, wrong = await anyio.to_thread.run_sync(_next_batch, lines)
            if batch:
                before = self.report.lines
                await self._import(batch, reader.header.id)
                on_lines(self.report.lines - before)
            elif wrong is None:
                return
        raise wrong

    def _checked(self, reader: Reader) -> Iterator[Line]:
        for line in reader.lines():
            if line.data is not None and not self.raw:
                try:
                    check_known(line.id, line.data)
                except InvalidInput as error:
                    raise _at(line, error, "mend the line, or import with --raw") from error
            yield line

    async def _import(self, batch: list[Line], file_id: str) -> None:
        now = self.clock.wall()
        attempts = [
            _Attempt(line, line.data, line.expires_at)
            for line in batch
            if line.data is None or line.expires_at is None or line.expires_at > now
        ]
        self.report.expired += len(batch) - len(attempts)
        for _ in range(ATTEMPTS):
            if not attempts:
                return
            writes = [self._write(attempt, file_id, now) for attempt in attempts]
            outcomes = await self.store.apply(writes)
            attempts = self._settle_all(zip(attempts, outcomes, strict=True))
        if attempts and attempts[0].met is not None:
            raise _at(attempts[0].line, attempts[0].met, "others are busy: import again")

    def _settle_all(self, done: Iterable[tuple[_Attempt, Outcome]]) -> list[_Attempt]:
        """What is to be tried instead. Each write fails alone: all are counted before one is told.

        Raises:
            SecondlookError: of the first line that is wrong.
        """
        following: list[_Attempt] = []
        wrong: SecondlookError | None = None
        for attempt, outcome in done:
            try:
                again = self._settle(attempt, outcome)
            except SecondlookError as error:
                wrong = wrong or error
                continue
            if again is not None:
                following.append(again)
        if wrong is not None:
            raise wrong
        return following

    def _write(self, attempt: _Attempt, file_id: str, now: float) -> Write:
        expires_at = attempt.expires_at
        return Write(
            attempt.line.id,
            attempt.data,
            attempt.expected,
            self.writer,
            None if expires_at is None else expires_at - now,
            Origin(f"import.{file_id}", str(attempt.line.number)),
        )

    def _settle(self, attempt: _Attempt, outcome: Outcome) -> _Attempt | None:
        """Count what is done; what is to be tried instead where it is not."""
        error = outcome.error
        if error is None:
            self._count("same" if outcome.repeat else attempt.becomes)
            return None
        if isinstance(error, NotFound):  # deleted in the file, and nothing stands
            self._count("same")
            return None
        if not isinstance(error, VersionConflict):
            raise _at(attempt.line, error)
        current: Record | None = error.current
        if current is None:  # what stood has been deleted meanwhile
            line = attempt.line
            return _Attempt(line, line.data, line.expires_at, met=error)
        return self._decide(attempt.line, current, error)

    def _decide(self, line: Line, current: Record, error: VersionConflict) -> _Attempt | None:
        """What to do about a line whose record stands already."""
        if line.data is not None and encode(line.data) == encode(current.data):
            self._count("same")
        elif self.on_conflict is OnConflict.FAIL:
            raise _at(line, error, "see --on-conflict; the lines before it are done")
        elif self.on_conflict is OnConflict.REPLACE:
            becomes = "deleted" if line.data is None else "replaced"
            return _Attempt(line, line.data, line.expires_at, current.version, becomes, error)
        elif self.on_conflict is OnConflict.SKIP or line.data is None:
            # Merged: a record that stands outweighs a deletion.
            self._count("skipped")
        else:
            return self._merge(line, line.data, current, error)
        return None

    def _merge(
        self, line: Line, data: Document, current: Record, error: VersionConflict
    ) -> _Attempt | None:
        try:
            # The file and the store have no common ancestor that anybody knows.
            merged = merge({}, current.data, data, rule_for(line.id), line.id)
        except MergeConflict as conflict:
            self.report.undecided.append((line, conflict))
            return None
        if encode(merged) == encode(current.data):
            self._count("same")
            return None
        ends = (line.expires_at, current.expires_at)
        expires_at = None if None in ends else max(end for end in ends if end is not None)
        return _Attempt(line, merged, expires_at, current.version, "merged", error)

    def _count(self, name: str) -> None:
        setattr(self.report, name, getattr(self.report, name) + 1)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One write of a line, what it is called where it succeeds, and what it met before."""

    line: Line
    data: Document | None
    expires_at: float | None
    expected: int = 0
    becomes: str = "created"
    met: VersionConflict | None = None


def _next_batch(lines: Iterator[Line]) -> tuple[list[Line], SecondlookError | None]:
    """Some lines, and what is wrong with the one behind them; none and nothing at the end."""
    batch: list[Line] = []
    size = 0
    try:
        for line in lines:
            batch.append(line)
            size += line.size
            if len(batch) == MAX_BATCH or size >= MAX_BATCH_BYTES:
                break
    except InvalidInput as error:
        return batch, error
    return batch, None


def _at(line: Line, error: SecondlookError, remedy: str = "") -> SecondlookError:
    """The same error, told with the line."""
    error.message = f"line {line.number}: {error.message}"
    error.remedy = error.remedy or remedy
    return error
