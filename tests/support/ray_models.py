"""What replicas on a Ray cluster open in tests: by name, for it runs in other processes."""

from __future__ import annotations

import threading

from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.repository.config import Release
from secondlook.shared.errors import InvalidModel
from support.engine import NumberedBackend


def open_numbered(release: Release) -> Opened:
    """A `NumberedBackend`; version 9 is broken."""
    if release.version == "9":
        raise InvalidModel(f"{release.file}: no model")
    return Opened(release, [NumberedBackend(release)])


def open_slow(release: Release) -> Opened:
    """One that takes 100 ms for each call, so that requests are under way when a node dies."""
    return Opened(release, [SlowBackend(release)])


class SlowBackend(NumberedBackend):
    """See `open_slow`."""

    def _called(self, rows: int, poisoned: bool) -> None:
        threading.Event().wait(0.1)
        super()._called(rows, poisoned)
