"""From a store to a file, whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import anyio.to_thread

from secondlook.cli.memory.archive import Header, record_line
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import InvalidInput, StoreError
from secondlook.shared.memory import ContextStore, Record
from secondlook.shared.memory.rules import MAX_LIMIT


async def export_records(
    store: ContextStore,
    target: str,
    prefix: str,
    since: int,
    on_records: Callable[[int], None],
    clock: Clock | None = None,
) -> Header:
    """Write what changed after ``since`` under ``prefix``, deletions included, as `archive` tells.

    Args:
        store: where from.
        target: path of the file, gzip where it ends in ``.gz``; ``-``: standard output.
        prefix: beginning of the ids.
        since: cursor; 0: everything.
        on_records: told how many more records were read.
        clock: dates the export.

    Returns:
        The header of the file.

    Raises:
        InvalidInput: the folder of the file does not exist.
        StoreError: the store failed, or the disk did; the file is as it was before.
    """
    identity = secrets.token_hex(8)
    exported_at = (clock or SystemClock()).wall()
    with _told(target):
        # In a thread, since a slow disk must not hold up the event loop.
        file = await anyio.to_thread.run_sync(_spool_file, target)
        try:
            spool = _Spool(file)
            cursor, more = since, True
            while more:
                page = await store.changes(prefix, cursor, MAX_LIMIT)
                await anyio.to_thread.run_sync(spool.add, page.records)
                on_records(len(page.records))
                cursor, more = page.cursor, page.more
            count = await anyio.to_thread.run_sync(spool.count)
            header = Header(identity, prefix, since, cursor, count, exported_at)
            await anyio.to_thread.run_sync(_finish, target, header, spool)
        finally:
            await anyio.to_thread.run_sync(file.close)
    return header


class _Spool:
    """Records on their way from the store, in a file of which nobody knows.

    A record that changes while the export runs comes again; only its last state is kept, so that
    an id appears once in the export. What came again is held in memory: as much as changed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Hashes are enough: one that meets another id's only makes a record wait in memory.
        self._seen: set[int] = set()
        self._again: dict[str, bytes] = {}
        self._spooled = 0

    def add(self, records: tuple[Record, ...]) -> None:
        """Take a page."""
        for record in records:
            line = record_line(record)
            key = hash(record.id)
            if key in self._seen:
                self._again[record.id] = line
            else:
                self._seen.add(key)
                self._file.write(line)
                self._spooled += 1

    def count(self) -> int:
        """How many records there are."""
        return sum(1 for _ in self.lines()) if self._again else self._spooled

    def lines(self) -> Iterator[bytes]:
        """What came once, then what came again, in its last state."""
        self._file.seek(0)
        for line in self._file:
            if not self._again or json.loads(line)["id"] not in self._again:
                yield line
        yield from self._again.values()


def _finish(target: str, header: Header, spool: _Spool) -> None:
    if target == "-":
        _write(sys.stdout.buffer, header, spool)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    part = path.with_name(f".{path.name}.{header.id}.part")
    try:
        with part.open("xb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as out:
                    _write(cast("BinaryIO", out), header, spool)
            else:
                _write(raw, header, spool)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(out: BinaryIO, header: Header, spool: _Spool) -> None:
    out.write(header.line())
    out.writelines(spool.lines())


def _spool_file(target: str) -> BinaryIO:
    """A file without a name, beside the target; finds out now whether the target can be."""
    folder = None
    if target != "-":
        path = Path(target)
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir():
            raise InvalidInput(
                f"{path}: not a file in a folder that exists", remedy="create the folder first"
            )
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))


@contextmanager
def _told(target: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader of standard output has left, which is no failure of a disk.
        raise
    except OSError as error:
        raise StoreError(
            f"export to {target} failed: {error.strerror or error}",
            remedy="the file is as it was; make room, or choose another place",
        ) from error
