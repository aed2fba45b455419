"""Where frames wait for the one who analyses them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from secondlook.edge.capture.events import Arrived
from secondlook.shared.errors import SecondlookError

PREFETCH = 2
"""Frames decoded ahead of the consumer where none may be lost."""


class Mailbox:
    """Frames on their way from the supervisor to the consumer, who is one task.

    Attributes:
        lossless: whether each frame is kept until it is taken; else the newest replaces the rest.

    Args:
        ask: called when more frames may be due.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self.lossless = False
        self._ask = ask
        self._held: deque[Arrived] = deque()
        self._consumer: anyio.Event | None = None
        self._over = False
        self._error: SecondlookError | None = None

    def due(self, outstanding: int) -> int:
        """How many frames to ask for, when ``outstanding`` are asked for already."""
        if self.lossless:
            return PREFETCH - len(self._held) - outstanding
        # A frame that arrived for a consumer who has left must not grow old: replace it.
        wanted = self._consumer is not None or bool(self._held)
        return int(wanted) - outstanding

    def put(self, arrived: Arrived) -> bool:
        """Add a frame; whether it replaced an older one."""
        replaced = bool(self._held) and not self.lossless
        if replaced:
            self._held.clear()
        self._held.append(arrived)
        if self._consumer is None:
            self._ask()
        self._wake()
        return replaced

    async def take(self) -> Arrived | None:
        """The next frame, once there is one; ``None`` at the end.

        Raises:
            SecondlookError: what the mailbox was closed with, once it is empty.
        """
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._consumer = anyio.Event()
            try:
                self._ask()
                await self._consumer.wait()
            finally:
                self._consumer = None
        arrived = self._held.popleft()
        self._ask()
        return arrived

    def close(self, error: SecondlookError | None = None) -> None:
        """Nothing more will come. What it was closed with first stands."""
        if not self._over:
            self._over, self._error = True, error
        self._wake()

    def clear(self) -> None:
        """Forget what waits, so that its memory goes back."""
        self._held.clear()

    def _wake(self) -> None:
        if self._consumer is not None:
            self._consumer.set()
