"""Answers as JSON lines, in a file or on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from secondlook.edge.sinks.lines import to_line
from secondlook.edge.sinks.protocol import Event
from secondlook.edge.sinks.settings import JsonLinesSettings


class JsonLinesSink:
    """Appends lines; each call ends with all of them handed to the system.

    A file that was moved away (logrotate) or deleted is created anew. A line that was cut short by
    a full disk is ended before the next one, so that one line at most is lost to a reader.
    """

    wants_images = False

    def __init__(self, settings: JsonLinesSettings) -> None:
        self._settings = settings
        self._files: dict[str, _File] = {}

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return f"jsonl:{self._settings.path}"

    def write(self, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        chunks: dict[str, list[bytes]] = {}
        for event in events:
            if event.observation.revision and not self._settings.revisions:
                continue
            camera = event.observation.frame.camera.replace("/", "_")
            path = self._settings.path.replace("{camera}", camera)
            chunks.setdefault(path, []).append(to_line(event))
        for path, lines in chunks.items():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _File(path)
            file.append(b"".join(lines))

    def close(self) -> None:
        """See `Sink.close`."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class _File:
    """An open file that follows its path."""

    def __init__(self, path: str) -> None:
        self._path = None if path == "-" else Path(path)
        self._descriptor: int | None = None
        self._torn = False

    def append(self, data: bytes) -> None:
        descriptor = self._open()
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        while view:
            # Whatever happens on the way, a line may be torn until the last byte is out.
            self._torn = True
            written = os.write(descriptor, view)
            view = view[written:]
        self._torn = False

    def close(self) -> None:
        if self._descriptor is not None and self._path is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _open(self) -> int:
        if self._path is None:
            sys.stdout.flush()
            return sys.stdout.fileno()
        if self._descriptor is not None and not self._moved(self._descriptor, self._path):
            return self._descriptor
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o644)
        self._torn = False
        return self._descriptor

    @staticmethod
    def _moved(descriptor: int, path: Path) -> bool:
        try:
            there = path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(descriptor)
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)
