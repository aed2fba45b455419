"""Lanes and requests for tests of the batcher."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.cloud.engine.asking import Ask, Priority
from secondlook.cloud.engine.batching import Kind
from secondlook.cloud.engine.batching.pending import Pending
from secondlook.shared.clock import Deadline, SystemClock

FAR_S = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Say:
    """A payload: its answer is ``word``."""

    word: Any
    rows: int = 1
    key: Hashable = None


SAY: Kind[Say, Any] = Kind("say")


class EchoLane:
    """Answers what it was asked; holds, and fails, as a test says.

    Attributes:
        batches: the words of each call.
    """

    def __init__(self, fails: Callable[[Say], BaseException | None] = lambda say: None) -> None:
        self.batches: list[list[Any]] = []
        self._fails = fails
        self._free = threading.Event()
        self._free.set()
        self._entered = threading.Semaphore(0)

    def hold(self) -> None:
        """Calls wait from now on, and are waited for: earlier ones have been."""
        self._entered = threading.Semaphore(0)
        self._free.clear()

    def release(self) -> None:
        """Calls go on."""
        self._free.set()

    def wait_entered(self) -> None:
        """Until one more call has begun; blocks."""
        assert self._entered.acquire(timeout=30)

    def key(self, payload: Say) -> Hashable:
        return payload.key

    def rows(self, payload: Say) -> int:
        return payload.rows

    def run(self, payloads: Sequence[Say]) -> list[Any]:
        self.batches.append([payload.word for payload in payloads])
        self._entered.release()
        assert self._free.wait(30)
        for payload in payloads:
            error = self._fails(payload)
            if error is not None:
                raise error
        return [payload.word for payload in payloads]


def ask(seconds: float = 3600.0, **fields: Any) -> Ask:
    """Who asks, with a deadline so far away."""
    return Ask(Deadline.after(seconds, SystemClock()), **fields)


def pending(
    *,
    deadline_s: float = FAR_S,
    rows: int = 1,
    priority: Priority = Priority.ESCALATION,
    tenant: str = "",
    camera: str = "",
    queued_s: float = 0.0,
    key: Hashable = None,
    payload: Any = "payload",
) -> Pending:
    """A request for a queue; its future is never looked at."""
    future: Any = None
    return Pending(SAY, payload, key, rows, deadline_s, priority, tenant, camera, queued_s, future)
