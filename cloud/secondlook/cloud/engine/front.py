"""What stands in front of one variant of a version: a batcher, or a deployment elsewhere."""

from __future__ import annotations

from typing import Protocol, TypeVar

from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.batching.lanes import Kind
from secondlook.cloud.engine.statistics import Statistics

P = TypeVar("P")
R = TypeVar("R")


class Front(Protocol):
    """See `Batcher`, which is the usual one. Every method runs in the event loop."""

    @property
    def waiting(self) -> int:
        """Requests that wait here."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and have no answer yet."""
        ...

    @property
    def statistics(self) -> Statistics:
        """What it has done."""
        ...

    def start(self) -> None:
        """Begin to serve."""
        ...

    async def submit(
        self, kind: Kind[P, R], payload: P, ask: Ask, *, reason: str = ""
    ) -> tuple[R, Ran]:
        """Ask the model; see `Batcher.submit`."""
        ...

    def fail_waiting(self, error: Exception) -> int:
        """Answer all that waits with an error, and go on; returns how many."""
        ...

    async def drain(self) -> None:
        """Finish what was accepted, then release the backends."""
        ...
