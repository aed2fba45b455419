"""What is in a version, by SHA-256: a version is immutable, and this is how a change shows.

A ``SHA256SUMS`` file beside the model, as ``sha256sum`` writes it, is verified where there is one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from secondlook.cloud.repository.description import SUFFIXES
from secondlook.cloud.repository.files import open_regular, read_at_most
from secondlook.shared.detect.declaration import SIDECARS
from secondlook.shared.errors import InvalidModel

SUMS = "SHA256SUMS"
MAX_SUMS_BYTES = 1_000_000
_MAX_KNOWN = 16_384
"""Most files that are remembered; the oldest goes first."""

_LINE = re.compile(r"\\?([0-9A-Fa-f]{64}) [ *](?:\./)?([^/]+)")
_TEXT = (*SIDECARS, ".md", ".pbtxt", ".csv", ".log", ".png", ".jpg", ".html", ".yaml", ".yml")
"""Endings of what tells people something, and does not change what a model answers."""


class Digests:
    """SHA-256 of files; a file whose stat has not changed is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def of(self, file: Path) -> str:
        """Hexadecimal SHA-256 of a file.

        Raises:
            InvalidModel: missing, no regular file, unreadable, or empty.
        """
        digest = hashlib.sha256()
        try:
            with open_regular(file) as opened:
                before = _identity(os.fstat(opened.fileno()))
                known = self._known.get(file)
                if known is not None and known[0] == before:
                    return known[1]
                size = 0
                while block := opened.read(1 << 20):
                    digest.update(block)
                    size += len(block)
                after = _identity(os.fstat(opened.fileno()))
        except FileNotFoundError as error:
            raise InvalidModel(f"{file} does not exist") from error
        except OSError as error:
            raise InvalidModel(f"{file} cannot be read: {error.strerror}") from error
        if not size:
            raise InvalidModel(f"{file} is empty (0 bytes)", remedy="copy it again")
        if before != after:
            raise InvalidModel(f"{file} changed while it was read", remedy="wait for the copy")
        self._known[file] = (before, digest.hexdigest())
        if len(self._known) > _MAX_KNOWN:
            self._known.pop(next(iter(self._known)))
        return digest.hexdigest()

    def of_release(self, folder: Path, name: str, files: Sequence[str]) -> str:
        """What makes up one release: the file ``name`` and what belongs to it.

        External weights and a sidecar with class names change what is answered as the file itself
        does. Of the file alone it is the file's own SHA-256; else that of lines as in `SUMS`.

        Args:
            folder: the version's directory.
            name: the model's file in it.
            files: names of all files in it.

        Raises:
            InvalidModel: one of them cannot be read.
        """
        parts = _belonging(name, files)
        if parts == [name]:
            return self.of(folder / name)
        lines = [f"{self.of(folder / part)}  {part}\n" for part in parts]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _belonging(name: str, files: Sequence[str]) -> list[str]:
    """The file and what belongs to it: its sidecar, its external weights; no other model's."""
    stem = Path(name).stem
    sidecars = {stem + suffix for suffix in SIDECARS}
    others = [file for file in files if file != name and Path(file).suffix in SUFFIXES]

    def belongs(file: str) -> bool:
        if file in sidecars or file.startswith(name):
            return True
        text = file == SUMS or Path(file).suffix.lower() in _TEXT
        return not text and not any(file.startswith(other) for other in others)

    return sorted({name, *filter(belongs, files)} - set(others))


def read_sums(folder: Path, files: Collection[str]) -> Mapping[str, str] | None:
    """What ``SHA256SUMS`` of a version says: file to SHA-256; ``None`` where there is none.

    Raises:
        InvalidModel: unreadable, too large, or a line that is none.
    """
    if SUMS not in files:
        return None
    file = folder / SUMS
    try:
        data = read_at_most(file, MAX_SUMS_BYTES)
        if len(data) > MAX_SUMS_BYTES:
            raise InvalidModel(f"{file} is larger than {MAX_SUMS_BYTES} bytes")
        lines = data.decode("utf-8").splitlines()
    except OSError as error:
        raise InvalidModel(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidModel(f"{file} is not text in UTF-8") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise InvalidModel(
                f"{file}:{number}: {line[:60]!r} is no line of sha256sum",
                remedy="write it in the version's directory: sha256sum * > SHA256SUMS",
            )
        sums[match[2]] = match[1].lower()
    return sums


def verify(folder: Path, sums: Mapping[str, str], digests: Digests, name: str) -> None:
    """Compare a model's file, and all other files that are listed beside it, with ``sums``.

    Raises:
        InvalidModel: the file is not listed, or one is missing or has other content.
    """
    if name not in sums:
        raise InvalidModel(
            f"{folder / SUMS} does not list {name}", remedy="write it again, with every file"
        )
    others = [other for other in sums if Path(other).suffix in SUFFIXES and other != name]
    for listed, expected in sums.items():
        if listed in others or listed == SUMS:
            continue
        found = digests.of(folder / listed)
        if found != expected:
            raise InvalidModel(
                f"{folder / listed} has SHA-256 {found[:12]}..., but {SUMS} says "
                f"{expected[:12]}...",
                remedy="copy it again",
            )
