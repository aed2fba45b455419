"""One question in progress for all who ask it at the same time."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from secondlook.cloud.engine.asking import Ask, Detected
from secondlook.shared.clock import Clock
from secondlook.shared.errors import ModelFailure

SLACK = 0.1
"""Part of a caller's time by which the leader's deadline may be later than its own."""


@dataclass(slots=True, eq=False)
class Flight:
    """A question that one caller, the leader, has put to the engine.

    Attributes:
        ask: the leader's.
        done: set when it is over, whatever became of it.
        detected: the answer; ``None`` where there is none: the leader went away, or was refused or
            late, which says nothing about anybody else.
        failure: what is true of the question, whoever asks.
        followers: callers that have waited for it.
    """

    ask: Ask
    done: anyio.Event = field(default_factory=anyio.Event)
    detected: Detected | None = None
    failure: ModelFailure | None = None
    followers: int = 0

    def carries(self, ask: Ask, clock: Clock) -> bool:
        """Whether another caller is served by it hardly later than if it asked itself.

        The queue goes by priority, then by deadline; who is more urgent than the leader asks anew.
        Hedges have deadlines that differ by the time it took to send them: `SLACK`.
        """
        leader = self.ask
        late_s = leader.deadline.at_s - ask.deadline.at_s
        return leader.priority <= ask.priority and late_s <= SLACK * ask.deadline.remaining_s(clock)
