"""Questions that wait to be sent: bounded, oldest out first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from secondlook.shared.clock import Deadline
from secondlook.shared.errors import SecondlookError
from secondlook.shared.values import Escalation, Verdict


class Reply(Protocol):
    """Who asked. Called exactly once for each question, on the event loop."""

    def verdict(self, verdict: Verdict) -> None:
        """The cloud has answered."""
        ...

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        """There will be no answer."""
        ...


class Fare(Protocol):
    """The budget of one question. `secondlook.edge.control.Reservation` is the real one."""

    def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
        """Pay for an attempt before it is made; ``False``: there is nothing to pay it with."""
        ...

    def close(self, now_s: float) -> None:
        """Nothing more is sent for this question."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question, who asked it, until when an answer is useful, and what pays for it."""

    escalation: Escalation
    reply: Reply
    deadline: Deadline
    fare: Fare | None = None

    def answered(self, verdict: Verdict, now_s: float) -> None:
        """Hand the verdict to who asked."""
        self._close(now_s)
        self.reply.verdict(verdict)

    def failed(self, error: SecondlookError, now_s: float) -> None:
        """Tell who asked that there will be no answer."""
        self._close(now_s)
        self.reply.failed(self.escalation, error)

    def given_up(self, error: SecondlookError, hold: Callable[[Fare], None]) -> None:
        """Tell who asked that there will be no answer, though what was sent may still pass.

        Args:
            error: why.
            hold: is given what pays for it, and closes it once nothing can pass any more.
        """
        if self.fare is not None:
            hold(self.fare)
        self.reply.failed(self.escalation, error)

    def _close(self, now_s: float) -> None:
        # First the budget: who is told may ask the next question at once.
        if self.fare is not None:
            self.fare.close(now_s)


class WaitingLine:
    """A bounded queue whose oldest item can be given up for a new one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Waiting] = deque()
        self._changed = anyio.Condition()

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, item: Waiting, *, block: bool) -> Waiting | None:
        """Append; returns the oldest item where it had to go.

        Args:
            item: the question.
            block: wait for room instead.
        """
        async with self._changed:
            while block and len(self._items) >= self._limit:
                await self._changed.wait()
            dropped = self._items.popleft() if len(self._items) >= self._limit else None
            self._items.append(item)
            self._changed.notify_all()
            return dropped

    async def take(self) -> Waiting:
        """The oldest item; waits for one."""
        async with self._changed:
            while not self._items:
                await self._changed.wait()
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def clear(self) -> list[Waiting]:
        """Take all items out."""
        items = list(self._items)
        self._items.clear()
        return items
