"""Waiting for what no event tells: the place where tests ask again and again."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

PATIENCE_S = 60.0
"""For what a process that was started does."""


async def until(condition: Callable[[], bool]) -> None:
    """Return once something holds that nothing announces; the test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - that is what this is for
        await anyio.sleep(0.005)


async def eventually(condition: Callable[[], bool]) -> None:
    """`until`, within ten seconds."""
    with anyio.fail_after(10):
        await until(condition)


def until_beside(process: subprocess.Popen[Any], log: Path, condition: Callable[[], bool]) -> None:
    """Return once something holds that a process does; blocking.

    Fails after a minute, or when the process has ended; says what it has logged.
    """
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end_s, log.read_text()
        # A process that ends is known at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
