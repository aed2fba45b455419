"""The place of one thread of a model, and what it is given to run."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from secondlook.cloud.engine.batching.pending import Pending


class Seat:
    """One thread's place: what it runs, and its bell.

    Attributes:
        rows: of the batch that it runs; 0: none.
        since_s: when it was taken.
        expected_s: how long it should take.
        clean: whether its duration teaches anything: nothing failed in it.
        wants: rows that the thread waits for.
        until_s: how long it waits for them; a deadline before that ends the wait.
        bell: held while nobody rings.
        given: a request that came while the thread was idle and nothing else waited: if it is
            still alone when the thread wakes, it never sees the queue.
    """

    __slots__ = ("bell", "clean", "expected_s", "given", "rows", "since_s", "until_s", "wants")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.rows = 0
        self.since_s = 0.0
        self.expected_s = 0.0
        self.clean = True
        self.wants = 1
        self.given: Pending | None = None
        self.until_s = math.inf

    def busy_s(self, now_s: float) -> float:
        """Until the thread is free, as far as is known.

        What runs for longer than it should goes on for as long again, until it ends.
        """
        return abs(self.since_s + self.expected_s - now_s) if self.rows else 0.0


@dataclass(slots=True)
class Job:
    """What a thread is to run: a batch, possibly empty, and those that are too late."""

    batch: list[Pending]
    late: list[Pending]
    taken_s: float
