"""Counting what a context memory holds."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from secondlook.shared.memory import Record
from secondlook.shared.memory.record import encode

LARGEST = 5


@dataclass(slots=True)
class Group:
    """Records that belong together.

    Attributes:
        live: records that stand.
        tombstones: deleted or expired ones that are still remembered.
        data_bytes: size of the data of those that stand, as compact JSON.
        oldest: wall clock of the write longest ago, seconds since the Unix epoch.
        newest: wall clock of the last write.
    """

    live: int = 0
    tombstones: int = 0
    data_bytes: int = 0
    oldest: float | None = None
    newest: float | None = None

    def add(self, record: Record, size: int) -> None:
        """Count a record whose data has ``size`` bytes."""
        if record.deleted:
            self.tombstones += 1
        else:
            self.live += 1
            self.data_bytes += size
        at = record.updated_at
        self.oldest = at if self.oldest is None else min(self.oldest, at)
        self.newest = at if self.newest is None else max(self.newest, at)

    def as_document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "live": self.live,
            "tombstones": self.tombstones,
            "data_bytes": self.data_bytes,
            "oldest": self.oldest,
            "newest": self.newest,
        }


@dataclass(slots=True)
class Tally:
    """What was found, in all and by site, camera and kind.

    Attributes:
        total: of everything.
        sites: by site.
        cameras: by ``site/camera``.
        kinds: by kind.
        cursor: where an export or a watch can go on.
        replica: what waits in an edge's memory; ``None`` for any other.
    """

    total: Group = field(default_factory=Group)
    sites: dict[str, Group] = field(default_factory=dict)
    cameras: dict[str, Group] = field(default_factory=dict)
    kinds: dict[str, Group] = field(default_factory=dict)
    cursor: int = 0
    replica: dict[str, Any] | None = None
    _largest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Count a record."""
        size = 0 if record.deleted else len(encode(record.data))
        site, camera, kind = parts_of(record.id)
        for groups, name in (
            (self.sites, site),
            (self.cameras, f"{site}/{camera}"),
            (self.kinds, kind),
        ):
            groups.setdefault(name, Group()).add(record, size)
        self.total.add(record, size)
        if record.deleted:
            return
        if len(self._largest) < LARGEST:
            heapq.heappush(self._largest, (size, record.id))
        else:
            heapq.heappushpop(self._largest, (size, record.id))

    @property
    def largest(self) -> list[tuple[int, str]]:
        """Bytes and id of the largest records, the largest first."""
        return sorted(self._largest, reverse=True)

    def as_document(self) -> dict[str, Any]:
        """For ``--json``."""
        by = {"sites": self.sites, "cameras": self.cameras, "kinds": self.kinds}
        return {
            **self.total.as_document(),
            "cursor": self.cursor,
            "replica": self.replica,
            **{
                name: {key: group.as_document() for key, group in sorted(groups.items())}
                for name, groups in by.items()
            },
            "largest": [{"id": name, "data_bytes": size} for size, name in self.largest],
        }


def parts_of(record_id: str) -> tuple[str, str, str]:
    """Site, camera and kind of an id; ``-`` where it has too few segments."""
    parts = record_id.split("/")
    site, camera, kind = ([*parts[:3], "-", "-", "-"] if len(parts) < 4 else parts)[:3]
    return site, camera, kind
