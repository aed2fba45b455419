"""How sure an F1 is, and how far it is above the edge's alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.shared.measure import Blocks, Counts, Interval


@dataclass(frozen=True, slots=True)
class Standing:
    """A final F1 on the classes of interest, against the reference or against the truth.

    Attributes:
        f1: the F1.
        interval: its 95 % interval; ``None`` where the clip is too short for one.
        gain: by how much it is above the edge's alone; ``None`` without the edge alone.
        gain_interval: 95 % interval of the gain, on the same draws.
    """

    f1: float
    interval: Interval | None = None
    gain: float | None = None
    gain_interval: Interval | None = None

    def as_json(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "f1_interval_95": _ends(self.interval),
            "gain_over_edge": None if self.gain is None else round(self.gain, 4),
            "gain_interval_95": _ends(self.gain_interval),
        }


def standing_of(
    counts: Sequence[Counts], blocks: Blocks | None = None, edge: Sequence[Counts] | None = None
) -> Standing:
    """The standing of a system.

    Args:
        counts: of each frame.
        blocks: for intervals; without, there are none.
        edge: the edge's own counts, frame by frame.
    """
    f1 = sum(counts, Counts()).f1
    if edge is None:
        return Standing(f1, None if blocks is None else blocks.f1(counts))
    return Standing(
        f1,
        None if blocks is None else blocks.f1(counts),
        f1 - sum(edge, Counts()).f1,
        None if blocks is None else blocks.difference(counts, edge),
    )


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 4), round(interval.high, 4)]
