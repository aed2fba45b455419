"""Opens networks in a thread, so that a load that nobody wants any more leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import anyio.to_thread

from secondlook.cloud.engine.lifecycle import Open, Opened, close_all, open_all
from secondlook.cloud.repository.config import Release
from secondlook.shared.errors import ModelFailure, SecondlookError
from secondlook.shared.telemetry import get_logger


async def open_beside(
    releases: Sequence[Release], open_one: Open, limiter: anyio.CapacityLimiter
) -> list[Opened]:
    """Open every variant of a version while the event loop goes on serving.

    Loading cannot be interrupted: where the caller is cancelled, the thread goes on, keeps its
    place in ``limiter`` until it is done, and closes what it has opened.

    Args:
        releases: the variants.
        open_one: see `Open`.
        limiter: how many are opened at once.

    Raises:
        SecondlookError: it cannot be opened; see `Open`.
    """
    work = _Opening(releases, open_one)
    try:
        return await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        work.abandon()
        raise


class _Opening:
    def __init__(self, releases: Sequence[Release], open_one: Open) -> None:
        self._releases = releases
        self._open_one = open_one
        self._guard = threading.Lock()
        self._abandoned = False
        self._opened: list[Opened] = []

    def __call__(self) -> list[Opened]:
        try:
            opened = open_all(self._releases, self._open_one)
        except SecondlookError:
            raise
        except Exception as error:
            # Whatever a library raises on a file, the file is refused. Logged here and not where it
            # is heard: a traceback is made from source files.
            get_logger(__name__).exception("loading failed")
            raise ModelFailure(
                f"it cannot be loaded: {type(error).__name__}; the log has the details"
            ) from error
        with self._guard:
            if not self._abandoned:
                self._opened = opened
                return opened
        close_all(opened)
        return []

    def abandon(self) -> None:
        with self._guard:
            self._abandoned = True
            opened, self._opened = self._opened, []
        # Ready in the very moment in which it was given up.
        close_all(opened)
