"""What decides which models are held in memory, and the plain way to do it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class When(str, Enum):
    """When to load what will probably be asked for."""

    NOW = "now"
    """At once."""

    IDLE = "idle"
    """When nothing runs and nothing is being loaded."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A model to load before it is asked for.

    Attributes:
        model: its name.
        probability: that it is asked for within its horizon.
        when: when to load it.
    """

    model: str
    probability: float
    when: When


class Residency(Protocol):
    """Decides what is held. Not thread-safe; times are monotonic seconds and never go back.

    The caller leaves what may not be evicted (what is being loaded, what somebody waits for) out of
    the candidates, and loads what is asked for before what will be.
    """

    def know(self, model: str, now_s: float, load_s: float) -> None:
        """There is such a model, which takes about ``load_s`` to load; again where that changed."""
        ...

    def forget(self, model: str) -> None:
        """There is no such model any more."""
        ...

    def asked(self, model: str, now_s: float) -> None:
        """A request for a model, held or not. One that is not known is passed over."""
        ...

    def advice(self, resident: Collection[str], now_s: float) -> list[Advice]:
        """What to load that is not held, most probable first."""
        ...

    def victim(
        self, candidates: Collection[str], now_s: float, instead_of: str | None = None
    ) -> str | None:
        """Which of the candidates to evict.

        Args:
            candidates: what may be evicted.
            now_s: now.
            instead_of: the model that is to be loaded ahead; ``None`` where it was asked for.

        Returns:
            ``None`` where there is no candidate, or none is needed less than ``instead_of``.
        """
        ...


class LeastRecent:
    """Evicts what was asked for longest ago; loads nothing ahead."""

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}

    def know(self, model: str, now_s: float, load_s: float) -> None:
        """See `Residency.know`."""
        self._last_s.setdefault(model, -math.inf)

    def forget(self, model: str) -> None:
        """See `Residency.forget`."""
        self._last_s.pop(model, None)

    def asked(self, model: str, now_s: float) -> None:
        """See `Residency.asked`."""
        if model in self._last_s:
            self._last_s[model] = now_s

    def advice(self, resident: Collection[str], now_s: float) -> list[Advice]:
        """Nothing."""
        return []

    def victim(
        self, candidates: Collection[str], now_s: float, instead_of: str | None = None
    ) -> str | None:
        """See `Residency.victim`."""
        if instead_of is not None:
            return None
        return min(candidates, key=lambda m: (self._last_s.get(m, -math.inf), m), default=None)
