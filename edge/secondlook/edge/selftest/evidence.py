"""The audits of one round: how well each way agrees with the heavy model."""

from __future__ import annotations

from dataclasses import dataclass, field

from secondlook.edge.selftest.bounds import Mean, Range, difference


@dataclass(slots=True)
class Evidence:
    """Sums over audits; they can be written down and taken up again.

    Attributes:
        edge: agreement of the edge alone with the heavy model.
        gated: agreement of what stood with the gate at work.
        gained: how much better that was than the edge alone; 0 where it was worse.
        lost: how much worse; 0 where it was better.
    """

    edge: Mean = field(default_factory=Mean)
    gated: Mean = field(default_factory=Mean)
    gained: Mean = field(default_factory=Mean)
    lost: Mean = field(default_factory=Mean)

    @property
    def pairs(self) -> int:
        """Audits that say something about both."""
        return self.gained.count

    def add(self, edge: float, gated: float | None) -> None:
        """An audit; ``gated``: ``None`` where the gate was not at work."""
        self.edge.add(edge)
        if gated is not None:
            self.gated.add(gated)
            self.gained.add(max(0.0, gated - edge))
            self.lost.add(max(0.0, edge - gated))

    def join(self, other: Evidence) -> None:
        """All audits of another."""
        for mine, theirs in zip(self._means(), other._means(), strict=True):
            mine.join(theirs)

    def gate_over_edge(self, delta: float) -> Range:
        """What the gate gains over the edge alone."""
        return difference(self.gained, self.lost, delta)

    def full_over_edge(self, full: float, delta: float) -> Range:
        """What whole frames of agreement ``full`` gain over the edge alone."""
        return _less(full, self.edge, delta)

    def full_over_gate(self, full: float, delta: float) -> Range:
        """What whole frames of agreement ``full`` gain over the gate."""
        return _less(full, self.gated, delta)

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

    def _means(self) -> tuple[Mean, Mean, Mean, Mean]:
        return self.edge, self.gated, self.gained, self.lost


def _less(constant: float, mean: Mean, delta: float) -> Range:
    return Range(
        constant - mean.upper(delta / 2), constant - mean.value, constant - mean.lower(delta / 2)
    )
