"""What the replicator remembers of a record, and what it tells about itself."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from secondlook.shared.memory.record import Document, Origin, Record, Write

SHORTEST_TTL_S = 0.001


@dataclass(frozen=True, slots=True)
class State:
    """What stands on one side.

    Attributes:
        data: the document.
        expires_at: wall clock of its end, seconds; ``None``: never.
    """

    data: Document
    expires_at: float | None = None

    @classmethod
    def of(cls, record: Record | None) -> State | None:
        """What stands: nothing, where there is no record or a tombstone."""
        if record is None or record.deleted:
            return None
        return cls(record.data, record.expires_at)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A write that is under way: sent, or about to be, and not answered.

    Attributes:
        id: of the record.
        token: names the write to the remote store.
        data: what is saved there; ``None``: the record is deleted there.
        expires_at: wall clock of its end, seconds; ``None``: never.
        expected: the remote version it is based on; 0: there must be none.
        local_version: the local version that is sent.
        writer: who wrote it.
    """

    id: str
    token: str
    data: Document | None
    expires_at: float | None
    expected: int
    local_version: int
    writer: str

    def write(self, replica: str, now: float) -> Write:
        """What is sent; the time to live is what remains of it at ``now`` (wall clock, seconds)."""
        ttl_s = None
        if self.expires_at is not None:
            ttl_s = max(self.expires_at - now, SHORTEST_TTL_S)
        origin = Origin(replica, self.token)
        return Write(self.id, self.data, self.expected, self.writer, ttl_s, origin)


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that is not sent until someone changes it, here or there.

    Attributes:
        id: of the record.
        undecided: both sides changed it and no rule decides; otherwise it was refused.
        reason: in words.
        since: wall clock, seconds.
        base: the common ancestor; ``None``: there is none, or it is absent.
        ours: what stands here; ``None``: nothing.
        theirs: what stands in the remote store, where it is undecided; ``None``: nothing.
    """

    id: str
    undecided: bool
    reason: str
    since: float
    base: Document | None
    ours: Document | None
    theirs: Document | None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a prefix has been pulled.

    Attributes:
        cursor: pass to the remote store.
        listing: number of the full listing that is under way; 0: none is.
        listed: that listing has reached its end; what it did not show is gone.
        since: wall clock at which that listing began, seconds.
    """

    cursor: int = 0
    listing: int = 0
    listed: bool = False
    since: float = 0.0


@dataclass(slots=True)
class SyncReport:
    """What one pass did, or a part of it.

    Attributes:
        pulled: records of the remote store that were looked at.
        taken: records that were taken over from there.
        pushed: writes that the remote store took, repetitions included.
        repeats: writes that it had taken before.
        conflicts: writes that met another writer.
        merged: records whose two sides were united.
        parked: records that were parked.
        resyncs: prefixes that were listed in full because their cursor was too old.
        bytes_up: sent, after compression.
        bytes_down: received, after compression.
        waiting: local changes that the remote store does not have yet, parked ones included.
        refused: prefixes that could not be pulled, and why.
        more: of what waits, something could be sent at once.
    """

    pulled: int = 0
    taken: int = 0
    pushed: int = 0
    repeats: int = 0
    conflicts: int = 0
    merged: int = 0
    parked: int = 0
    resyncs: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    waiting: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    more: bool = False

    def add(self, part: SyncReport) -> None:
        """Count what ``part`` counted too."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(part, name))


_COUNTED = tuple(
    each.name for each in fields(SyncReport) if type(each.default) is int and each.name != "waiting"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits in a replica.

    Attributes:
        waiting: local changes that the remote store does not have, parked ones included.
        undecided: of these, how many no rule decides.
        refused: of these, how many were refused.
        pulled_at: wall clock of the last complete pull, by prefix, seconds; absent: never.
    """

    waiting: int
    undecided: int
    refused: int
    pulled_at: dict[str, float]


@dataclass(frozen=True, slots=True)
class ReplicationStatus:
    """How far both sides are apart.

    Attributes:
        replica: id of this replica.
        counts: what waits.
        cursor_age_s: since the prefix that was pulled longest ago was pulled completely, seconds;
            ``None``: one never was.
        last_success: wall clock of the last complete pass of this process; ``None``: none yet.
        error: what the last pass failed with; empty after a success.
        totals: sums over all passes of this process.
    """

    replica: str
    counts: Counts
    cursor_age_s: float | None
    last_success: float | None
    error: str
    totals: SyncReport
