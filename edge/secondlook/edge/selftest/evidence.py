"""The audits of one round: how well each way agrees with the heavy model."""

from __future__ import annotations

from dataclasses import dataclass, field

from secondlook.edge.selftest.bounds import Mean, Range, difference
from secondlook.shared.memory.kinds.mode import Pair


@dataclass(slots=True)
class Gap:
    """Two answers to the same audits: how much better one was than the other, and how much worse.

    Attributes:
        gained: how much better; 0 where it was worse.
        lost: how much worse; 0 where it was better.
    """

    gained: Mean = field(default_factory=Mean)
    lost: Mean = field(default_factory=Mean)

    @classmethod
    def of(cls, pair: Pair) -> Gap:
        """From a record."""
        return cls(Mean.of(pair.gained), Mean.of(pair.lost))

    def pair(self) -> Pair:
        """For a record."""
        return Pair(gained=self.gained.tally(), lost=self.lost.tally())

    def add(self, one: float, other: float) -> None:
        """An audit more: the agreement of both."""
        self.gained.add(max(0.0, one - other))
        self.lost.add(max(0.0, other - one))

    def join(self, more: Gap) -> None:
        """All audits of another."""
        self.gained.join(more.gained)
        self.lost.join(more.lost)

    def mean(self, delta: float) -> Range:
        """By how much the one is better in the mean."""
        return difference(self.gained, self.lost, delta)


@dataclass(slots=True)
class Evidence:
    """Sums over audits; they can be written down and taken up again.

    Attributes:
        edge: agreement of the edge alone with the heavy model.
        gated: agreement of what stood with the gate at work.
        gate: what stood with the gate at work, against the edge alone.
        full: agreement of the heavy model on frames of a full stream with itself on stills of
            good quality; of audits that were looked at twice.
        full_edge: those frames against the edge alone.
        full_gate: those frames against what stood with the gate at work.
    """

    edge: Mean = field(default_factory=Mean)
    gated: Mean = field(default_factory=Mean)
    gate: Gap = field(default_factory=Gap)
    full: Mean = field(default_factory=Mean)
    full_edge: Gap = field(default_factory=Gap)
    full_gate: Gap = field(default_factory=Gap)

    @property
    def pairs(self) -> int:
        """Audits that say something about the edge and about the gate."""
        return self.gate.gained.count

    def add(self, edge: float, gated: float | None) -> None:
        """An audit; ``gated``: ``None`` where the gate was not at work."""
        self.edge.add(edge)
        if gated is not None:
            self.gated.add(gated)
            self.gate.add(gated, edge)

    def add_full(self, edge: float, gated: float, full: float) -> None:
        """An audit that was looked at twice: all three against the still."""
        self.full.add(full)
        self.full_edge.add(full, edge)
        self.full_gate.add(full, gated)

    def join(self, other: Evidence) -> None:
        """All audits of another."""
        self.edge.join(other.edge)
        self.gated.join(other.gated)
        self.gate.join(other.gate)
        self.full.join(other.full)
        self.full_edge.join(other.full_edge)
        self.full_gate.join(other.full_gate)

    def differs(self, other: Evidence, delta: float) -> str:
        """In what another round of audits differs from this one, in words; empty where in nothing.

        The bounds of both means must lie apart: each side of each of the four holds with a quarter
        of ``delta``.
        """
        share = delta / 8
        for what, a, b in (
            ("the edge alone", self.edge, other.edge),
            ("what stands", self.gated, other.gated),
        ):
            if a.count < 2 or b.count < 2:
                continue
            if b.lower(share) > a.upper(share) or b.upper(share) < a.lower(share):
                return (
                    f"agreement of {what} has gone from {a.value:.3f} to {b.value:.3f} "
                    f"in the last {b.count} audits"
                )
        return ""
