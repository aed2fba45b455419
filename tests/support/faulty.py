"""Sources that misbehave on request, for capture processes: ``support.faulty:faulty_source``.

The child process imports this module, so it needs ``tests`` on its path: see `faulty_path`.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

from secondlook.edge.capture.protocol import SourceFrame, SourceInfo, SourceOptions
from secondlook.shared.errors import SourceError

FACTORY = "support.faulty:faulty_source"

TESTS = Path(__file__).resolve().parents[1]


def faulty_path() -> str:
    """``PYTHONPATH`` for a process that must find this module."""
    return os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))


class FaultySource:
    """Frames filled with their number, and faults, as the URL's query says.

    Query: ``frames`` (default 10), ``size`` (WxH, several separated by commas take turns),
    ``fps``, ``live`` (0 or 1), ``fault`` (abort, hang, exit, error, chatter) at frame ``at``,
    only while the file ``unless`` does not exist; it is made just before the fault.
    """

    def __init__(self, url: str) -> None:
        query = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
        self._url = url
        self._frames = int(query.get("frames", "10"))
        self._sizes = [
            tuple(int(side) for side in size.split("x"))
            for size in query.get("size", "64x48").split(",")
        ]
        self._fps = float(query.get("fps", "10"))
        self._live = query.get("live", "0") == "1"
        self._fault = query.get("fault", "")
        self._at = int(query.get("at", "0"))
        self._count = query.get("count", "")
        self._which = int(query.get("which", "0"))
        self._times = int(query.get("times", "1"))
        self._index = -1

    def open(self) -> SourceInfo:
        if self._fault == "open" and self._due():
            raise SourceError(f"{self._url}: the lens is dirty", remedy="wipe it")
        frames = None if self._live else self._frames
        return SourceInfo(0, 0, self._fps, frames, live=self._live, backend="faulty")

    def grab(self) -> float | None:
        self._index += 1
        if self._index == self._at and self._fault != "open" and self._due():
            self._misbehave()
        if self._index >= self._frames:
            return None
        return self._index / self._fps

    def retrieve(self) -> SourceFrame:
        width, height = self._sizes[self._index % len(self._sizes)]
        return SourceFrame(np.full((height, width, 3), self._index % 251, np.uint8))

    def close(self) -> None:
        pass

    def _due(self) -> bool:
        if not self._fault or not self._count:
            return bool(self._fault)
        with Path(self._count).open("ab") as counter:
            occasion = counter.tell()
            counter.write(b".")
        return self._which <= occasion < self._which + self._times

    def _misbehave(self) -> None:
        if self._fault == "abort":
            os.abort()
        if self._fault == "exit":
            os._exit(3)
        if self._fault == "hang":
            threading.Event().wait()
        if self._fault == "error":
            raise SourceError(f"{self._url}: the cable is loose", remedy="push it in")
        if self._fault == "chatter":
            sys.stderr.write("rtsp://me:hunter2@camera said hello\n" * 5000)
            os.abort()


def faulty_source(url: str, options: SourceOptions) -> FaultySource:
    """A factory as `secondlook.edge.capture.protocol.SourceFactory` wants it."""
    return FaultySource(url)
