"""Writes down when each model was asked for: what ``secondlook bench prefetch --trace`` reads."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import anyio.to_thread

from secondlook.shared.errors import StoreError

BOUND = 100_000
"""Requests that wait to be written; more are dropped, and counted."""


class Recorder:
    """A JSON object a line: ``{"at_s": 12.5, "model": "street_heavy"}``, monotonic seconds.

    Args:
        file: appended to.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: deque[tuple[float, str]] = deque()
        self.dropped = 0

    def asked(self, model: str, now_s: float) -> None:
        """A request; written with the next `flush`."""
        if len(self._waiting) >= BOUND:
            self.dropped += 1
            return
        self._waiting.append((now_s, model))

    async def flush(self) -> None:
        """Append what waits.

        Raises:
            StoreError: the file cannot be written; what waited is lost.
        """
        if self._waiting:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            await anyio.to_thread.run_sync(self._append, lines)

    def _append(self, lines: list[tuple[float, str]]) -> None:
        text = "".join(
            json.dumps({"at_s": round(at_s, 6), "model": model}) + "\n" for at_s, model in lines
        )
        try:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be written: {error.strerror}") from error
