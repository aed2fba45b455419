"""Blocking calls in threads that may be left behind.

A name server, a network disk or a driver may never answer, and no blocking call can be cancelled.
anyio's own threads would keep the process from ending; these are daemons, and the command leaves
without them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_running: set[object] = set()
"""One token for each call that has not returned."""


async def in_thread(function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
    """Run a blocking call; whoever cancels this leaves its thread behind."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    token = object()

    def settle(result: T | None, error: Exception | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    def work() -> None:
        result, problem = None, None
        try:
            result = function(*arguments)
        except Exception as error:  # noqa: BLE001 - told to the one who waits for the result
            problem = error
        _running.discard(token)
        # Nobody waits any more once the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, problem)

    _running.add(token)
    threading.Thread(target=work, name="doctor", daemon=True).start()
    return await outcome


def left_behind() -> bool:
    """Whether a call of `in_thread` still hangs."""
    return bool(_running)
