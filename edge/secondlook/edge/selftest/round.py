"""The audits of a self-test since they were begun anew, and how often they were looked at. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from secondlook.edge.selftest.evidence import Evidence

_LOOK_GROWTH = 1.1


@dataclass(slots=True)
class Round:
    """Audits in blocks: the last one is compared with those before as soon as it is full.

    Attributes:
        past: audits of all blocks that are full.
        recent: those of the block that fills.
        looks: how often a decision was sought.
        next_look: audits of both answers at which that is due again.
        blocks: that were full.
    """

    past: Evidence = field(default_factory=Evidence)
    recent: Evidence = field(default_factory=Evidence)
    looks: int = 0
    next_look: int = 0
    blocks: int = 0

    @property
    def audits(self) -> int:
        """How many there are."""
        return self.past.edge.count + self.recent.edge.count

    def all(self) -> Evidence:
        """All of its audits."""
        total = Evidence()
        total.join(self.past)
        total.join(self.recent)
        return total

    def take_block(self, delta: float) -> tuple[Evidence, str]:
        """Take the block that fills out of the round.

        Args:
            delta: probability with which any block may seem to differ and does not.

        Returns:
            The block, and in what it differs from those before; empty where in nothing.
        """
        self.blocks += 1
        block, self.recent = self.recent, Evidence()
        return block, self.past.differs(block, spent(delta, self.blocks))

    def look(self, pairs: int, delta: float) -> float:
        """A decision is sought on so many audits of both answers; returns what it may spend."""
        self.looks += 1
        self.next_look = _after(pairs)
        return spent(delta, self.looks)

    @classmethod
    def recalled(cls, past: Evidence, looks: int) -> Round:
        """A round that goes on after a restart."""
        return cls(past=past, looks=looks, next_look=_after(past.pairs) if looks else 0)


def spent(delta: float, number: int) -> float:
    """What the look of that number spends; all of them together no more than ``delta``."""
    return delta * 6.0 / (math.pi * number) ** 2


def _after(pairs: int) -> int:
    return math.ceil(pairs * _LOOK_GROWTH)
