"""Faults while writers work: a seeded plan, processes that are killed, and a summary of it all."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from secondlook.shared.measure import Direction
from support.faulty import faulty_path
from support.history import Operation
from support.proxy import FaultProxy

Fault = Callable[[], Awaitable[None]]

SEED_VARIABLE = "SECONDLOOK_TEST_SEED"
IDLE_S = 1.5
"""The next fault comes at the latest so long after the last one, even if nothing gets done."""


def seed_of_run() -> int:
    """From the environment, so that a run can be repeated; otherwise a new one."""
    given = os.environ.get(SEED_VARIABLE)
    return int(given) if given else random.SystemRandom().randrange(2**32)


class Crew:
    """Processes of writers; each may be killed, and then another one takes its place.

    Args:
        folder: for histories and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Callable[[str], list[str]]] = {}

    def start(self, name: str, command: Callable[[str], list[str]]) -> None:
        """Start a process.

        Args:
            name: of the process; of a successor, another one.
            command: from a name to a command line.
        """
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            self._running[name] = subprocess.Popen(
                command(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": faulty_path()},
            )
        self._commands[name] = command

    def kill(self, name: str) -> None:
        """kill -9, by its pid, and start another one in its place, with the next name."""
        process = self._running.pop(name)
        self._check(name, process.poll(), None)
        process.kill()
        process.wait()
        base, _, number = name.partition("-")
        self.start(f"{base}-{int(number or 0) + 1}", self._commands.pop(name))

    @property
    def names(self) -> list[str]:
        """Who runs."""
        return list(self._running)

    def finish(self) -> None:
        """Wait for all of them; each must end well."""
        while self._running:
            name, process = self._running.popitem()
            self._check(name, process.wait(90), 0)

    async def all_said(self, what: str) -> None:
        """Wait until each process has left the sign ``NAME.what``."""
        while not all((self.folder / f"{name}.{what}").exists() for name in self._running):
            self.check()
            await anyio.sleep(0.05)

    def check(self) -> None:
        """Each process still runs."""
        for name, process in self._running.items():
            self._check(name, process.poll(), None)

    def _check(self, name: str, code: int | None, expected: int | None) -> None:
        assert code == expected, f"{name}: {code}\n{(self.folder / f'{name}.log').read_text()}"

    def _leave(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()


@contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    """A crew that is gone at the end, whatever happens."""
    hands = Crew(folder)
    try:
        yield hands
    finally:
        hands._leave()


@dataclass
class Chaos:
    """Plays a plan of faults, each when a share of the work is done.

    Attributes:
        dice: of the run.
        folder: where the histories grow: their size is the measure of work.
        faults: by name.
        played: how many of each were played.
    """

    dice: random.Random
    folder: Path
    faults: Mapping[str, Fault]
    played: Counter[str] = field(default_factory=Counter)

    async def play(self, times: Mapping[str, int], every_bytes: int) -> None:
        """Play each fault so many times, in random order.

        Args:
            times: by name.
            every_bytes: how much the histories grow between two faults, on average.
        """
        plan = list(Counter(times).elements())
        self.dice.shuffle(plan)
        for name in plan:
            await self._work_done(self.dice.uniform(0.2, 1.8) * every_bytes)
            await self.faults[name]()
            self.played[name] += 1

    async def _work_done(self, size: float) -> None:
        goal = self._size() + size
        with anyio.move_on_after(IDLE_S):
            # There is no event for what other processes have written.
            while self._size() < goal:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    def _size(self) -> int:
        return sum(file.stat().st_size for file in self.folder.glob("*.history"))


class Network:
    """The faults of some proxies, each of one of them by chance."""

    def __init__(self, proxies: Sequence[FaultProxy], dice: random.Random) -> None:
        self.proxies = proxies
        self._dice = dice

    def faults(self) -> dict[str, Fault]:
        """By name."""
        return {
            "cut": self.cut,
            "lost reply": self.lose_reply,
            "lost request": self.lose_request,
            "corruption": self.corrupt,
            "stall": self.stall,
            "delay": self.delay,
            "refusal": self.refuse,
        }

    async def cut(self) -> None:
        """Every connection breaks."""
        await self._one().cut()

    async def lose_reply(self) -> None:
        """A request arrives, its answer does not."""
        self._one().cut_after(Direction.DOWN, self._dice.randint(1, 40))

    async def lose_request(self) -> None:
        """A request arrives in part."""
        self._one().cut_after(Direction.UP, self._dice.randint(1, 400))

    async def corrupt(self) -> None:
        """Bytes that mean nothing."""
        self._one().corrupt_next(self._dice.choice([Direction.UP, Direction.DOWN]))

    async def stall(self) -> None:
        """Nothing passes for a while; then what was sent meanwhile arrives late."""
        proxy = self._one()
        proxy.stall()
        await anyio.sleep(self._dice.uniform(0.05, 0.6))
        if self._dice.random() < 0.5:
            await proxy.cut()
        proxy.resume()

    async def delay(self) -> None:
        """All is slow for a while."""
        proxy = self._one()
        proxy.delay_s = self._dice.uniform(0.002, 0.03)
        await anyio.sleep(self._dice.uniform(0.05, 0.3))
        proxy.delay_s = 0.0

    async def refuse(self) -> None:
        """No new connections for a while, and none of the old ones."""
        proxy = self._one()
        proxy.refuse()
        await proxy.cut()
        await anyio.sleep(self._dice.uniform(0.05, 0.3))
        proxy.accept()

    def heal(self) -> None:
        """Everything passes from now on."""
        for proxy in self.proxies:
            proxy.heal()

    def _one(self) -> FaultProxy:
        return self._dice.choice(self.proxies)


async def in_thread(work: Callable[[], None]) -> None:
    """Do what blocks (starting and killing processes) beside the event loop."""
    await anyio.to_thread.run_sync(work)


def summary(seed: int, operations: Sequence[Operation], faults: Counter[str]) -> str:
    """What a run saw, in one line."""
    attempts = Counter(operation.outcome for operation in operations)
    told = ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))
    return (
        f"seed {seed}: operations {len(operations)}, acknowledged {attempts['ok']}, "
        f"conflicts {attempts['conflict']}, absent {attempts['absent']}, "
        f"unknown {attempts['unknown']}, faults {faults.total()} ({told})"
    )
