"""Work that outlives whoever waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from secondlook.shared.errors import SecondlookError, Unavailable


async def owned(tasks: TaskGroup, work: Callable[[], Awaitable[None]]) -> None:
    """Have ``work`` done in ``tasks``, and wait for it; who is cancelled here does not end it.

    Raises:
        SecondlookError: what ``work`` raised.
        Unavailable: ``tasks`` ended before it did.
    """
    done = anyio.Event()
    outcome: list[SecondlookError] = [Unavailable("the engine has stopped")]

    async def run() -> None:
        try:
            await work()
            outcome.clear()
        except SecondlookError as error:
            outcome[0] = error
        finally:
            done.set()

    tasks.start_soon(run)
    await done.wait()
    if outcome:
        raise outcome[0]
