"""One run of a capture process: what it is asked for, and how long it may stay silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from secondlook.edge.capture.events import (
    Arrived,
    CaptureProcessDied,
    Ended,
    Event,
    Opened,
    Quiet,
    Ready,
    Stalled,
)
from secondlook.edge.capture.mailbox import Mailbox
from secondlook.edge.capture.process import CaptureProcess
from secondlook.shared.errors import SecondlookError

_START_TIMEOUT_S = 60.0  # a process that has not even started by then never will
_OPEN_GRACE_S = 2.0  # the source's own time-out comes first, and says more


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        failure: what went wrong; ``None``: the stream is over.
        stalled: whether it was given up for its silence.
    """

    failure: SecondlookError | None
    stalled: bool = False


class Session:
    """Listens to one capture process.

    Args:
        process: the process.
        mailbox: says how many frames are due.
        open_timeout_s: seconds that it may take to open the source.
        stall_timeout_s: seconds that it may take for a frame, once open.
        heed: called with each event but the last.
    """

    def __init__(
        self,
        process: CaptureProcess,
        mailbox: Mailbox,
        open_timeout_s: float,
        stall_timeout_s: float,
        heed: Callable[[Event], None],
    ) -> None:
        self.process = process
        self._mailbox = mailbox
        self._open_timeout_s = open_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._heed = heed
        self._outstanding = 0
        self._opened = False
        self._patience_s = _START_TIMEOUT_S
        self._heard_s = 0.0
        self._watch: anyio.CancelScope | None = None

    def ask(self) -> None:
        """Grant the process as many credits as the mailbox finds due."""
        due = self._mailbox.due(self._outstanding)
        if due > 0 and self._outstanding == 0:
            self._heard_s = anyio.current_time()
        for _ in range(due):
            self._outstanding += 1
            self.process.grant()
        self._set_deadline()

    async def run(self) -> Outcome:
        """Listen until the stream ends, or the process fails or falls silent."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.process.drain_stderr)
            try:
                self._heard_s = anyio.current_time()
                self.ask()
                outcome = await self._listen()
                if outcome.stalled:
                    await self.process.kill()
            finally:
                self._watch = None
                await self.process.end()
        await self.process.close()
        return outcome

    async def _listen(self) -> Outcome:
        while True:
            with anyio.CancelScope() as self._watch:
                self._set_deadline()
                try:
                    event = await self.process.receive()
                except SecondlookError as error:
                    return Outcome(error)
            now_s = anyio.current_time()
            if self._watch.cancelled_caught:
                silent_s = now_s - self._heard_s
                self._heed(Stalled(silent_s))
                failure = CaptureProcessDied(f"nothing came for {silent_s:.1f} s")
                return Outcome(failure, stalled=True)
            self._heard_s = now_s
            if isinstance(event, Ended):
                return Outcome(None)
            self._patience_s = self._patience(event)
            if isinstance(event, Arrived):
                self._outstanding -= 1
            self._heed(event)
            if isinstance(event, Opened):
                self._opened = True
                self.ask()

    def _patience(self, event: Event) -> float:
        """Seconds that may pass after ``event``."""
        if isinstance(event, Ready):
            return self._open_timeout_s + _OPEN_GRACE_S
        return self._stall_timeout_s + (event.seconds if isinstance(event, Quiet) else 0.0)

    def _set_deadline(self) -> None:
        """A running process that owes no frame may be silent."""
        if self._watch is not None:
            owes = self._outstanding > 0 or not self._opened
            self._watch.deadline = self._heard_s + self._patience_s if owes else math.inf
