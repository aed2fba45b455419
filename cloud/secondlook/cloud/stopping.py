"""What signals do to a process that serves, and how others learn that it does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import anyio

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.telemetry import get_logger


async def obey(
    signals: AsyncIterator[signal.Signals], stop: anyio.Event, last: Callable[[], None]
) -> None:
    """The first signal drains, the second one ends the process.

    Args:
        signals: as they come.
        stop: set by the first.
        last: done before the process ends at once.
    """
    log = get_logger(__name__)
    async for number in signals:
        if stop.is_set():
            log.warning("second signal, leaving at once", signal=number.name)
            last()
            os._exit(128 + number)
        log.info("signal, draining; a second one leaves at once", signal=number.name)
        stop.set()


def announce(path: Path, said: Mapping[str, object]) -> None:
    """Write the ready file so that a reader sees all of it or nothing. Blocking.

    Raises:
        InvalidConfig: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(said))
        part.replace(path)
    except OSError as error:
        raise InvalidConfig(f"ready file {path} cannot be written: {error.strerror}") from None
