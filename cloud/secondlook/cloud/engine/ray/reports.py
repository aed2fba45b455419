"""What replicas say about themselves, each second, and until it is too old to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STALE_S = 5.0
"""So old may be what is shown of a replica."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of a replica, with all its series.

    Attributes:
        name, text, kind: see `prometheus_client.Metric`.
        samples: name, labels and value of each.
    """

    name: str
    text: str
    kind: str
    samples: tuple[tuple[str, dict[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica says.

    Attributes:
        application: it belongs to.
        replica: its name, unique among all.
        families: what it has counted since it started.
    """

    application: str
    replica: str
    families: tuple[Family, ...]


class Reports:
    """The last one of each replica. Times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Report]] = {}

    def add(self, report: Report, now_s: float) -> None:
        """In place of what the replica said before."""
        self._last[report.replica] = now_s, report
        # Replicas come and go; what has gone is not kept.
        oldest_s = now_s - STALE_S
        self._last = {name: last for name, last in self._last.items() if last[0] >= oldest_s}

    def of(self, applications: Iterable[str], now_s: float) -> list[Report]:
        """Those of the replicas of these applications that are not too old."""
        wanted = set(applications)
        return [
            report
            for at_s, report in self._last.values()
            if now_s - at_s <= STALE_S and report.application in wanted
        ]
