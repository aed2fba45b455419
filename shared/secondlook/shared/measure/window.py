"""Bytes over time: the most that passed within any stretch of so many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passed:
    """Something passed.

    Attributes:
        at_s: when, seconds on any clock that never goes back.
        size: bytes.
    """

    at_s: float
    size: int


def most_within(passed: Sequence[Passed], seconds: float) -> int:
    """Most bytes in any half-open stretch of ``seconds``.

    Args:
        passed: in order of time.
        seconds: length of the stretch.
    """
    most = held = first = 0
    for item in passed:
        held += item.size
        while item.at_s - passed[first].at_s >= seconds:
            held -= passed[first].size
            first += 1
        most = max(most, held)
    return most
