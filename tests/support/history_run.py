"""One run of writers, in processes and in this one, on one store, under faults."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio

from support.history import Operation, read_history
from support.history_chaos import Chaos, Fault, crew, in_thread, seed_of_run, summary
from support.history_work import Task, run_task

EVENT_BYTES = 900
"""About what one step of a writer adds to the history."""


@dataclass
class Run:
    """What is run, and then what was seen.

    Attributes:
        folder: of the histories.
        urls: of the store as each process of writers sees it, the last one being this process.
        writers: in each of them.
        operations: each writer does at least so many.
        wait_replicas: see `open_store`.
        seed: of all decisions.
        dice: for the faults.
        played: how many faults there were.
        history: of everybody.
    """

    folder: Path
    urls: Mapping[str, str]
    writers: int
    operations: int
    wait_replicas: int = 0
    seed: int = field(default_factory=seed_of_run)
    played: Counter[str] = field(default_factory=Counter)
    history: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    @property
    def steps(self) -> int:
        """How many steps all writers do at least."""
        return len(self.urls) * self.writers * self.operations

    @property
    def told(self) -> str:
        """What it saw, in one line."""
        return summary(self.seed, self.history, self.played)

    async def under(
        self, faults: Mapping[str, Fault], times: Counter[str], heal: Callable[[], None]
    ) -> None:
        """Let all of them work while each fault is played so many times.

        Args:
            faults: by name; ``writer killed`` comes on top.
            times: by name.
            heal: called after the last fault.
        """
        with crew(self.folder) as hands:

            async def kill_writer() -> None:
                name = self.dice.choice(hands.names)
                await in_thread(partial(hands.kill, name))

            chaos = Chaos(self.dice, self.folder, {**faults, "writer killed": kill_writer})
            async with anyio.create_task_group() as tasks:
                *others, here = self.urls
                tasks.start_soon(run_task, self._task(here))
                for name in others:
                    await in_thread(
                        partial(hands.start, name, lambda name: self._task(name).command())
                    )
                await chaos.play(times, self.steps * EVENT_BYTES // times.total())
                heal()
                hands.check()
                (self.folder / "stop").touch()
                await in_thread(hands.finish)
        self.played = chaos.played
        self.history = read_history(self.folder)

    def check_busy(self, times: Counter[str], repeats: int = 1) -> None:
        """A run in which nothing happened proves nothing.

        Args:
            times: how many of each fault were planned.
            repeats: fewest writes whose repetition was answered as such.
        """
        outcomes = Counter(operation.outcome for operation in self.history)
        assert self.played == times
        assert outcomes["ok"] >= self.steps
        assert outcomes["conflict"] >= self.steps / 20
        assert outcomes["absent"] >= self.steps / 100
        assert outcomes["unknown"] >= 10
        assert sum(operation.repeat for operation in self.history) >= repeats
        # Whoever was not killed knows in the end what became of everything.
        unsettled = {o.process for o in self.history if o.verb == "add" and o.outcome == "unknown"}
        assert len(unsettled) <= times["writer killed"]

    def _task(self, name: str) -> Task:
        url = self.urls[name.partition("-")[0]]
        return Task(
            name,
            url,
            str(self.folder),
            self.seed,
            self.writers,
            self.operations,
            wait_replicas=self.wait_replicas,
        )
