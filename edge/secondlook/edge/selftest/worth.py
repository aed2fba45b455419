"""What a way of working is worth, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.edge.selftest.bounds import Range
from secondlook.edge.selftest.modes import Mode


@dataclass(frozen=True, slots=True)
class ModeChange:
    """A way of working takes the place of another.

    Attributes:
        at_s: wall clock, seconds since the Unix epoch.
        before, after: the ways.
        reasons: why, in plain words.
    """

    at_s: float
    before: Mode
    after: Mode
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """What one way is worth.

    Attributes:
        gain: agreement over the edge alone.
        bytes_per_s: what it sends, audits apart.
        value: gain less the price of its bytes.
    """

    gain: Range
    bytes_per_s: float
    value: Range


def shifted(a: Range, by: float) -> Range:
    """All of it moved."""
    return Range(a.low + by, a.value + by, a.high + by)


def rate(bytes_per_s: float) -> str:
    """For people."""
    return f"{bytes_per_s / 1000:.2f} KB/s"


def describe(mode: Mode, worth: Worth) -> str:
    """What a way is worth, in words."""
    gain, value = worth.gain, worth.value
    return (
        f"{mode.value}: agreement {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) over the "
        f"edge alone for {rate(worth.bytes_per_s)}, worth {value.value:+.3f}"
    )


def why_left(best: Mode, better: float) -> str:
    """Why the gate is left for another way, which is worth ``better`` more."""
    if best is Mode.FULL:
        return f"whole frames are worth {better:.3f} more than the gate"
    return f"the gate is worth {-better:+.3f} beside the edge alone"
