"""The files of one camera's log: begun anew by size and age, the oldest given up. Blocking."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from secondlook.edge.decisions.blocks import MAGIC, block
from secondlook.edge.decisions.packing import pack
from secondlook.edge.decisions.records import LogHeader
from secondlook.shared.errors import InvalidInput

DECISIONS_SUFFIX = ".decisions"
PICTURES_SUFFIX = ".pictures"
MAX_FILES = 1000
"""A process that starts again and again fills no folder with tiny files."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a series of files may become.

    Attributes:
        max_bytes: all of them together.
        rotate_bytes: size from which a new one is begun.
        rotate_s: age from which a new one is begun, seconds.
    """

    max_bytes: int
    rotate_bytes: int
    rotate_s: float


class Series:
    """Numbered files of one suffix in one folder; one process writes them.

    Every file begins with the header, so that it can be read alone. Nothing is flushed to the disk
    by force: a killed process loses nothing that was written, a power cut may lose the last
    seconds.

    Args:
        folder: made where it is missing; nobody else may read it, for it tells of people.
        suffix: of the files.
        header: of each.
        bounds: of all of them.
    """

    def __init__(self, folder: Path, suffix: str, header: LogHeader, bounds: Bounds) -> None:
        self._folder = folder
        self._suffix = suffix
        self._bounds = bounds
        self._head = MAGIC + block([pack(header)])
        # Oldest first: as `sizes` gives them, then as they are closed.
        self._old: dict[Path, int] = {}
        self._known = False
        self._number = 0
        self._file: int | None = None
        self._size = 0
        self._begun_s = 0.0

    @property
    def size(self) -> int:
        """All files together, bytes."""
        return sum(self._old.values()) + self._size

    def append(self, data: bytes, now_s: float) -> None:
        """Write a block.

        Args:
            data: of the block.
            now_s: monotonic time, seconds.

        Raises:
            OSError: the disk refused. What was there before is whole; the next call begins a new
                file.
            InvalidInput: it alone is larger than all files may be.
        """
        bounds = self._bounds
        if len(self._head) + len(data) > bounds.max_bytes:
            raise InvalidInput(f"{len(data)} bytes; all files may have {bounds.max_bytes}")
        if self._file is not None and (
            self._size + len(data) > bounds.rotate_bytes
            or not 0 <= now_s - self._begun_s < bounds.rotate_s
        ):
            self.close()
        if self._file is None:
            self._begin(now_s)
        self._give_up_for(len(data))
        try:
            self._write(data)
        except OSError:
            self._leave_whole()
            raise

    def close(self) -> None:
        """Leave the present file; the next block begins another one."""
        if self._file is not None:
            self._old[self._path()] = self._size
            handle, self._file, self._size = self._file, None, 0
            os.close(handle)

    def _begin(self, now_s: float) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._known:
            self._old = sizes(self._folder, self._suffix)
            self._number = max((number_of(path) for path in self._old), default=0)
            self._known = True
        self._number += 1
        self._give_up_for(len(self._head))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(self._path(), flags, 0o600)
        self._begun_s = now_s
        try:
            self._write(self._head)
        except OSError:
            self._leave_whole()
            raise

    def _path(self) -> Path:
        return self._folder / f"{self._number:06d}{self._suffix}"

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._size += len(data)

    def _leave_whole(self) -> None:
        """Cut off what was written in part; where that fails too, readers skip it."""
        assert self._file is not None
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        empty, path = self._size == 0, self._path()
        self.close()
        if empty:
            del self._old[path]
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _give_up_for(self, more: int) -> None:
        while self._old and (
            self.size + more > self._bounds.max_bytes or len(self._old) >= MAX_FILES
        ):
            oldest = next(iter(self._old))
            oldest.unlink(missing_ok=True)
            del self._old[oldest]


def sizes(folder: Path, suffix: str) -> dict[Path, int]:
    """The files of a series, oldest first, and how large each is, bytes."""
    found = {}
    for path in sorted(folder.glob(f"*{suffix}"), key=number_of):
        # A running daemon may give one up meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found


def number_of(path: Path) -> int:
    """Which file of its series it is; 0 where its name does not say."""
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else 0
