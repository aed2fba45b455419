"""Which of two ways to evict would have done better lately, found out without trying."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

KEPT = 300.0
"""Requests that count; older ones fade."""

LEAD = 0.03
"""Share of misses that the challenger has to save before it takes over."""


class Contest:
    """Plays both ways on the names of the models alone, as if each had had its way always.

    Forecasts that are worth nothing for some traffic would evict at random. So the plain way, the
    least recently asked for, holds until the other one would have missed less.
    """

    def __init__(self) -> None:
        self._plain = _Ghost()
        self._needed = _Ghost()
        self._won = False

    @property
    def won(self) -> bool:
        """Whether evicting the least needed beats evicting the least recent."""
        return self._won

    def asked(self, model: str, room: int, need: Callable[[str], float]) -> None:
        """A request.

        Args:
            model: for this model.
            room: how many models are held.
            need: how much a model is needed; the lowest is evicted.
        """
        self._plain.asked(model, room, None)
        self._needed.asked(model, room, need)
        limit = self._plain.misses * (1.0 if self._won else 1.0 - LEAD)
        self._won = self._needed.misses < limit

    def forget(self, model: str) -> None:
        """There is no such model any more."""
        self._plain.held.pop(model, None)
        self._needed.held.pop(model, None)


class _Ghost:
    """The names that one way would hold, the least recent first, and what it missed."""

    def __init__(self) -> None:
        self.held: OrderedDict[str, None] = OrderedDict()
        self.misses = 0.0

    def asked(self, model: str, room: int, need: Callable[[str], float] | None) -> None:
        missed = model not in self.held
        if missed:
            while len(self.held) >= max(1, room):
                del self.held[next(iter(self.held)) if need is None else min(self.held, key=need)]
        self.held[model] = None
        self.held.move_to_end(model)
        self.misses = self.misses * (1.0 - 1.0 / KEPT) + missed
