"""More models than memory: loads what is asked for, ahead where that pays, and makes room first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.lineup import Lineup
from secondlook.cloud.engine.owned import owned
from secondlook.cloud.engine.residents_metrics import ResidentsMetrics
from secondlook.cloud.prefetch.residency import Residency, When
from secondlook.cloud.repository.snapshot import Offer
from secondlook.shared.clock import Clock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    Overloaded,
    SecondlookError,
)
from secondlook.shared.telemetry import get_logger

NOT_HELD = "not in memory; it is loaded when it is asked for"
GUESS_S = 1.0
"""How long a load takes, until one was measured, seconds."""


@dataclass(slots=True)
class _Known:
    """A model that can be loaded.

    Attributes:
        lineup: its versions.
        offer: what is loaded.
        memory_bytes: what it takes; the size of its files until it was loaded once.
        waiting: requests that wait for it.
    """

    lineup: Lineup
    offer: Offer
    memory_bytes: int
    waiting: int = 0


class Residents:
    """Which of the known models are in memory. Every method runs in the event loop.

    Loads come one at a time: what is asked for before what will be. To make room, models are
    unloaded that nobody waits for, those without a request in progress first; what those have
    accepted is finished before their memory counts as free.

    Args:
        max_bytes: most that all models together take.
        residency: chooses what goes, and what is loaded ahead.
        tasks: where loads run.
        clock: times them.
        metrics: where they are counted.
        max_waiting: most requests that wait for one model to be loaded.
    """

    def __init__(
        self,
        max_bytes: int,
        residency: Residency,
        tasks: TaskGroup,
        clock: Clock,
        metrics: ResidentsMetrics,
        max_waiting: int = 64,
    ) -> None:
        self._max_bytes = max_bytes
        self._residency = residency
        self._tasks = tasks
        self._clock = clock
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._known: dict[str, _Known] = {}
        self._turn = anyio.Lock()
        self._log = get_logger(__name__)
        metrics.watch(lambda: float(self.bytes), lambda: float(len(self.held)))

    @property
    def held(self) -> Mapping[str, Lineup]:
        """The models in memory."""
        return {n: known.lineup for n, known in self._known.items() if known.lineup.routes}

    @property
    def bytes(self) -> int:
        """What all models take, those that still drain included."""
        return sum(known.lineup.memory_bytes for known in self._known.values())

    def knows(self, model: str) -> Offer | None:
        """What would be loaded; ``None`` where nothing of that name is known."""
        known = self._known.get(model)
        return None if known is None else known.offer

    async def know(self, lineup: Lineup, offer: Offer) -> None:
        """There is such a model; it is loaded when it is asked for."""
        size = await anyio.to_thread.run_sync(_size, offer)
        if lineup.retired:
            return
        known = self._known.get(lineup.name)
        if known is None or known.lineup is not lineup:
            self._known[lineup.name] = _Known(lineup, offer, size)
            lineup.rests(offer, NOT_HELD)
        else:
            known.offer = offer
        self._residency.know(lineup.name, self._clock.monotonic(), GUESS_S)

    def forget(self, model: str) -> None:
        """There is no such model any more."""
        if self._known.pop(model, None) is not None:
            self._residency.forget(model)

    async def prepare(self, ask: Ask, model: str) -> None:
        """Have a model that is known in memory; see `Serving.prepare`."""
        known = self._known.get(model)
        if known is None:
            return
        now_s = self._clock.monotonic()
        self._residency.asked(model, now_s)
        if known.lineup.routes is not None:
            self._metrics.hit()
            return
        self._metrics.cold()
        if known.waiting >= self._max_waiting:
            raise Overloaded(f"{known.waiting} requests wait for {model!r} to be loaded")
        known.waiting += 1
        try:
            with anyio.move_on_after(max(0.0, ask.deadline.at_s - now_s)) as scope:
                await owned(self._tasks, lambda: self._demand(known))
            if scope.cancelled_caught:
                raise DeadlineExceeded(f"{model!r} was not loaded in time")
        finally:
            known.waiting -= 1

    async def look(self) -> None:
        """Load ahead what will probably be asked for; about every second."""
        advice = self._residency.advice(self.held.keys(), self._clock.monotonic())
        for advised in advice:
            if self._turn.locked() or (advised.when is When.IDLE and self._busy()):
                return
            known = self._known.get(advised.model)
            if known is None or known.lineup.routes is not None:
                continue
            try:
                async with self._turn:
                    await self._load(known, advised.when)
            except SecondlookError as error:
                self._log.warning("not loaded ahead", model=advised.model, reason=str(error))

    async def load(self, model: str) -> None:
        """Load a known model, whoever asks for it; its errors as in `Catalogue.load`."""
        await self._demand(self._known[model], again=True)

    async def fill(self) -> None:
        """Load what there is room for, without making any."""
        for known in list(self._known.values()):
            async with self._turn:
                if known.lineup.routes is None and self._fits(known):
                    try:
                        await self._load(known, When.IDLE)
                    except SecondlookError as error:
                        self._log.warning("not loaded", model=known.lineup.name, reason=str(error))

    async def _demand(self, known: _Known, *, again: bool = False) -> None:
        async with self._turn:
            if known.lineup.routes is None:
                await self._load(known, None, again=again)

    async def _load(self, known: _Known, ahead: When | None, *, again: bool = False) -> None:
        """Make room, and load; in the turn. What was refused before is tried when ``again``."""
        name = known.lineup.name
        if known.memory_bytes > self._max_bytes:
            raise InvalidConfig(
                f"{name!r} takes {known.memory_bytes} bytes; "
                f"the models may take {self._max_bytes} together",
                remedy="raise repository.memory_mb",
            )
        if not await self._make_room(known, ahead is not None):
            return
        started_s = self._clock.monotonic()
        await known.lineup.load(lambda: known.offer, again=again)
        if known.lineup.routes is None:
            return
        now_s = self._clock.monotonic()
        self._metrics.loaded("demand" if ahead is None else ahead.value)
        known.memory_bytes = known.lineup.memory_bytes or known.memory_bytes
        self._residency.know(name, now_s, now_s - started_s)

    async def _make_room(self, known: _Known, ahead: bool) -> bool:
        while not self._fits(known):
            free = {n: held for n, held in self.held.items() if not self._known[n].waiting}
            idle = [n for n, held in free.items() if not held.in_flight]
            victim = self._residency.victim(
                idle or ([] if ahead else list(free)),
                self._clock.monotonic(),
                known.lineup.name if ahead else None,
            )
            if victim is not None:
                self._log.info("evicted", model=victim, room_for=known.lineup.name, ahead=ahead)
                self._metrics.evicted()
                self._known[victim].lineup.unload(NOT_HELD)
            elif ahead or not self._draining():
                # Nobody can go: ahead of time that is no loss, else what waits is to have its turn.
                return not ahead
            await self._drained()
        return True

    def _fits(self, known: _Known) -> bool:
        return self.bytes + known.memory_bytes <= self._max_bytes

    async def _drained(self) -> None:
        for known in list(self._known.values()):
            if known.lineup.routes is None:
                await known.lineup.drained()

    def _draining(self) -> bool:
        return any(k.lineup.routes is None and k.lineup.memory_bytes for k in self._known.values())

    def _busy(self) -> bool:
        return any(lineup.in_flight for lineup in self.held.values())


def _size(offer: Offer) -> int:
    """Bytes of its files, on every instance; blocking."""
    copies = sum(
        group.count * (max(1, len(group.gpus)) if group.kind == "gpu" else 1)
        for group in offer.config.instances
    )
    return copies * sum(r.file.stat().st_size for r in offer.releases if r.file.is_file())
