"""Replies of the cloud to one camera, in the order they came."""

from __future__ import annotations

from collections import deque

import anyio

from secondlook.shared.errors import SecondlookError
from secondlook.shared.values import Escalation, Verdict

Settled = Verdict | tuple[Escalation, SecondlookError]
"""A verdict, or a question with the reason why it has none."""


class Inbox:
    """Counts a camera's open questions and keeps their replies until they are taken in.

    It holds no more than the uplink's queue and its questions in flight, which are bounded.
    """

    def __init__(self) -> None:
        self._settled: deque[Settled] = deque()
        self._open = 0
        self._arrived = anyio.Event()
        self._quiet = anyio.Event()
        self._quiet.set()

    def asked(self) -> None:
        """A question is handed to the uplink."""
        self._open += 1
        if self._quiet.is_set():
            self._quiet = anyio.Event()

    def verdict(self, verdict: Verdict) -> None:
        """See `secondlook.edge.uplink.Reply`."""
        self._put(verdict)

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        """See `secondlook.edge.uplink.Reply`."""
        self._put((escalation, error))

    async def take(self) -> Settled:
        """The next reply; waits for one. `taken` follows once it is dealt with."""
        while not self._settled:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._settled.popleft()

    def taken(self) -> None:
        """The reply that `take` gave is dealt with."""
        self._open -= 1
        if self._open == 0:
            self._quiet.set()

    async def wait_quiet(self) -> None:
        """Return once every question has its reply, and every reply is dealt with."""
        await self._quiet.wait()

    def _put(self, settled: Settled) -> None:
        self._settled.append(settled)
        self._arrived.set()
