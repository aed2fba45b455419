"""What lies where: ``ROOT/name/config.pbtxt``, ``ROOT/name/<version>/model.onnx``.

Looks at names and stats only; no file is opened. Links are followed: ``name`` and ``<version>``
may be links to directories elsewhere. No deeper level is entered, so that loops end nowhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from secondlook.cloud.repository.bounds import FACE, MAX_VERSION, fault_of_name
from secondlook.cloud.repository.findings import Finding, Severity

CONFIG_NAMES = ("config.pbtxt", "config.toml")
"""What a configuration file is called; a model has at most one."""

MAX_ENTRIES = 10_000
"""Most entries of one directory that are looked at."""

_VERSION = re.compile(r"[1-9][0-9]*")
_NUMERIC = re.compile(r"[+-]?[0-9]+")

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Of each file of a model: path, size, times of change of content and of inode, inode."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The directory of one model.

    Attributes:
        name: the model's name.
        path: the directory.
        configs: configuration files in it, at most one is right.
        versions: numbers of the versions in it, ascending.
        files: names of the files of each version, sorted; hidden ones left out.
        stamp: changes whenever something in it does.
        findings: what is passed over in it, or makes it unreadable.
        unreadable: whether it could not be looked into at all.
    """

    name: str
    path: Path
    configs: tuple[Path, ...] = ()
    versions: tuple[int, ...] = ()
    files: tuple[tuple[str, ...], ...] = ()
    stamp: Stamp = ()
    findings: tuple[Finding, ...] = ()
    unreadable: bool = False

    def files_of(self, version: int) -> tuple[str, ...]:
        """Names of the files of one version."""
        return self.files[self.versions.index(version)]


@dataclass(frozen=True, slots=True)
class Listing:
    """All roots at one moment.

    Attributes:
        folders: the models' directories by name; of an earlier root where two have one.
        findings: what is passed over beside them.
        failed: roots that could not be looked into.
    """

    folders: dict[str, Folder]
    findings: tuple[Finding, ...]
    failed: tuple[Path, ...]


def list_roots(roots: Sequence[Path]) -> Listing:
    """Look into every root."""
    folders: dict[str, Folder] = {}
    findings: list[Finding] = []
    failed: list[Path] = []
    for root in roots:
        try:
            entries = _entries(root)
        except OSError as error:
            failed.append(root)
            findings.append(
                Finding("", f"model repository cannot be read: {error.strerror}", file=root)
            )
            continue
        for entry in entries:
            path = root / entry.name
            reason = _foreign(entry)
            if entry.name.endswith(FACE) and reason:
                # Whoever put it there has it served elsewhere under this name.
                findings.append(Finding(entry.name, reason, file=path))
            elif reason:
                findings.append(Finding("", reason, file=path, severity=Severity.NOTE))
            elif not entry.name.startswith("."):
                folder = list_folder(path)
                _add(folders, findings, folder)
    return Listing(folders, tuple(findings), tuple(failed))


def _add(folders: dict[str, Folder], findings: list[Finding], folder: Folder) -> None:
    if not (folder.configs or folder.versions or folder.unreadable):
        reason = "holds neither a configuration nor a version; not a model"
        findings.append(Finding("", reason, file=folder.path, severity=Severity.NOTE))
        findings.extend(folder.findings)
        return
    first = folders.setdefault(folder.name, folder)
    if first is not folder:
        reason = f"a model of this name is served from {first.path}; this one is not served"
        findings.append(Finding(folder.name, reason, file=folder.path))


def _foreign(entry: os.DirEntry[str]) -> str:
    """Why an entry of a root is no model; empty where it may be one."""
    if entry.name.startswith("."):
        return ""
    try:
        if not entry.is_dir():
            return "is not a directory; not a model"
    except OSError as error:
        return f"cannot be followed: {error.strerror}; not a model"
    return fault_of_name(entry.name)


def list_folder(path: Path) -> Folder:
    """Look into the directory of one model."""
    name = path.name
    try:
        entries = _entries(path)
    except OSError as error:
        finding = Finding(name, f"cannot be read: {error.strerror}", file=path)
        return Folder(name, path, findings=(finding,), unreadable=True)
    configs: list[Path] = []
    versions: dict[int, tuple[str, ...]] = {}
    stamp: list[tuple[str, int, int, int, int]] = []
    findings: list[Finding] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.name in CONFIG_NAMES:
            configs.append(path / entry.name)
            stamp.extend(_stamp(entry, ""))
            continue
        reason = _no_version(entry)
        if reason:
            finding = Finding(name, reason, file=path / entry.name, severity=Severity.NOTE)
            findings.append(finding)
            continue
        try:
            inside = _entries(path / entry.name)
        except OSError as error:
            finding = Finding(
                name, f"cannot be read: {error.strerror}", entry.name, path / entry.name
            )
            findings.append(finding)
            inside = []
        # Hidden files count: a copy in progress goes to one first, and is not done with them.
        for part in inside:
            stamp.extend(_stamp(part, f"{entry.name}/"))
        versions[int(entry.name)] = tuple(e.name for e in inside if not e.name.startswith("."))
        stamp.append((f"{entry.name}/", len(inside), 0, 0, 0))
    numbers = tuple(sorted(versions))
    return Folder(
        name,
        path,
        tuple(configs),
        numbers,
        tuple(versions[number] for number in numbers),
        tuple(stamp),
        tuple(findings),
    )


def _no_version(entry: os.DirEntry[str]) -> str:
    """Why an entry of a model's directory is no version; empty where it is one."""
    numeric = _NUMERIC.fullmatch(entry.name) is not None
    try:
        directory = entry.is_dir()
    except OSError as error:
        return f"cannot be followed: {error.strerror}; passed over"
    if not directory or not numeric:
        return "is neither a configuration nor a version; passed over"
    if not _VERSION.fullmatch(entry.name):
        return "is no version: a number from 1 without leading zeros is expected; passed over"
    if len(entry.name) > 19 or int(entry.name) > MAX_VERSION:
        return f"is no version: {MAX_VERSION} is the largest; passed over"
    return ""


def _stamp(entry: os.DirEntry[str], prefix: str) -> Iterator[tuple[str, int, int, int, int]]:
    try:
        found = entry.stat()
    except OSError:
        # Gone between listing and looking, or a link that leads nowhere.
        yield f"{prefix}{entry.name}", -1, 0, 0, 0
        return
    size = -2 if stat.S_ISDIR(found.st_mode) else found.st_size
    times = found.st_mtime_ns, found.st_ctime_ns
    yield f"{prefix}{entry.name}", size, *times, found.st_ino


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """Entries of a directory by name, at most `MAX_ENTRIES`.

    Raises:
        OSError: as the system has it.
    """
    entries: list[os.DirEntry[str]] = []
    with os.scandir(path) as found:
        for entry in found:
            if len(entries) >= MAX_ENTRIES:
                raise OSError(0, f"it has more than {MAX_ENTRIES} entries")
            entries.append(entry)
    return sorted(entries, key=lambda entry: entry.name)
