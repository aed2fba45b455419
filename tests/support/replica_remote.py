"""A remote store behind a network that drops, repeats, delays and loses, as the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum

from secondlook.shared.errors import StoreError, Unavailable
from secondlook.shared.memory import ContextStore
from secondlook.shared.memory.record import Changes, Outcome, Record, Write


class Fault(str, Enum):
    """What happens to one call."""

    NONE = "none"
    DROP = "drop"
    """The request never arrives."""
    LOSE = "lose"
    """The request is served, its answer is lost."""
    HALF = "half"
    """The service dies within the batch: some of it is served, the answer is lost."""
    TWICE = "twice"
    """The request is served twice; the second answer arrives."""
    HOLD = "hold"
    """The request is held back: it arrives before the call after the next, its answer is lost."""


class FaultyRemote:
    """A `ContextStore` as a replicator sees it. Counts what it did; harmless once healed.

    Attributes:
        meanwhile: called once, while the next batch is under way.
    """

    def __init__(self, store: ContextStore, faults: Iterable[Fault] = ()) -> None:
        self.store = store
        self.faults = list(faults)
        self.calls = 0
        self.harmed: dict[Fault, int] = {}
        self.written: list[Record] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self._held: list[tuple[int, Sequence[Write]]] = []

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        fault = await self._next()
        if fault is Fault.DROP:
            raise Unavailable("dropped")
        if fault is Fault.HOLD:
            self._held.append((self.calls + 2, writes))
            raise StoreError("held back")
        if fault is Fault.HALF:
            await self._serve(writes[: len(writes) // 2])
            raise StoreError("died")
        outcomes = await self._serve(writes)
        if fault is Fault.LOSE:
            raise StoreError("lost")
        if fault is Fault.TWICE:
            return await self._serve(writes)
        return outcomes

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        fault = await self._next()
        if fault not in (Fault.NONE, Fault.TWICE):
            raise Unavailable("dropped")
        return await self.store.changes(prefix, since, limit)

    async def heal(self) -> None:
        """No more faults; what was held back arrives now."""
        self.faults.clear()
        await self._arrive(late=True)

    async def _next(self) -> Fault:
        self.calls += 1
        await self._arrive(late=False)
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        self.harmed[fault] = self.harmed.get(fault, 0) + 1
        return fault

    async def _arrive(self, *, late: bool) -> None:
        now = [held for held in self._held if late or held[0] <= self.calls]
        self._held = [held for held in self._held if held not in now]
        for _, writes in now:
            await self._serve(writes)

    async def _serve(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = await self.store.apply(writes)
        self.written += [
            outcome.record for outcome in outcomes if outcome.record and not outcome.repeat
        ]
        return outcomes

    async def save(self, *_: object, **__: object) -> Record:
        raise NotImplementedError("a replicator has no need of it")

    load = delete = save

    async def ping(self) -> None:
        await self.store.ping()

    async def close(self) -> None:
        await self.store.close()
