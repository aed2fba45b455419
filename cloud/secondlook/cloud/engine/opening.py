"""Opens networks in a thread, so that a load that nobody wants any more leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context

import anyio

from secondlook.cloud.engine.lifecycle import Open, Opened, close_all, open_all
from secondlook.cloud.repository.config import Release
from secondlook.shared.errors import ModelFailure, SecondlookError
from secondlook.shared.telemetry import get_logger


async def open_beside(
    releases: Sequence[Release], open_one: Open, limiter: anyio.CapacityLimiter
) -> list[Opened]:
    """Open every variant of a version while the event loop goes on serving.

    Loading cannot be interrupted: where the caller is cancelled, the thread goes on, keeps its
    place in ``limiter`` until it is done, and closes what it has opened. It is a daemon, so that
    a process that ends does not wait for it.

    Args:
        releases: the variants.
        open_one: see `Open`.
        limiter: how many are opened at once.

    Raises:
        SecondlookError: it cannot be opened; see `Open`.
    """
    work = _Opening(releases, open_one)
    await limiter.acquire_on_behalf_of(work)
    loop, done = asyncio.get_running_loop(), anyio.Event()

    def finish() -> None:
        limiter.release_on_behalf_of(work)
        done.set()

    def run() -> None:
        work.run()
        # Where the loop is closed nobody waits any more, and what was opened is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish)

    threading.Thread(
        target=copy_context().run, args=(run,), name=f"load-{releases[0].version}", daemon=True
    ).start()
    try:
        await done.wait()
    except anyio.get_cancelled_exc_class():
        work.abandon()
        raise
    return work.result()


class _Opening:
    """One load: either its result is taken, or what it opened is closed."""

    def __init__(self, releases: Sequence[Release], open_one: Open) -> None:
        self._releases = releases
        self._open_one = open_one
        self._guard = threading.Lock()
        self._abandoned = False
        self._opened: list[Opened] = []
        self._error: SecondlookError | None = None

    def run(self) -> None:
        """In the thread."""
        opened: list[Opened] = []
        try:
            opened = open_all(self._releases, self._open_one)
        except SecondlookError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the file is refused
            # Logged here and not where it is heard: a traceback is made from source files.
            get_logger(__name__).exception("loading failed")
            self._error = ModelFailure(
                f"it cannot be loaded: {type(error).__name__}; the log has the details"
            )
            self._error.__cause__ = error
        with self._guard:
            if not self._abandoned:
                self._opened = opened
                return
        close_all(opened)

    def result(self) -> list[Opened]:
        """What was opened; for the one who takes it over.

        Raises:
            SecondlookError: it cannot be opened.
        """
        if self._error is not None:
            raise self._error
        opened, self._opened = self._opened, []
        return opened

    def abandon(self) -> None:
        """Nobody wants it any more."""
        with self._guard:
            self._abandoned = True
            opened, self._opened = self._opened, []
        # Ready in the very moment in which it was given up.
        close_all(opened)
