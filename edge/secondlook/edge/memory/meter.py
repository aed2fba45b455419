"""What the memory counts."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from secondlook.shared.memory.replication import ReplicationStatus


@dataclass(slots=True)
class MemoryTotals:
    """How the memory is, and totals since the start.

    Attributes:
        state: ``off``, ``on``, or ``failed``: it could not be opened.
        waiting: records that wait to be written to the local store.
        written: records written.
        dropped: records that were not, because too many waited.
        lost: records that were refused, or could not be united with what stood.
        failures: times that the store failed.
        recalled: records handed to cameras at their start.
        skipped: records that could not be read then.
        unsynced: records that the cloud does not have.
        undecided: of these, those whose two sides no rule unites.
        synced_at: wall clock of the last complete synchronisation; ``None``: none yet.
        sync_error: what the last one failed with.
        sent_bytes: of synchronisation, after compression.
        received_bytes: of synchronisation, after compression.
    """

    state: str = "off"
    waiting: int = 0
    written: int = 0
    dropped: int = 0
    lost: int = 0
    failures: int = 0
    recalled: int = 0
    skipped: int = 0
    unsynced: int = 0
    undecided: int = 0
    synced_at: float | None = None
    sync_error: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0

    def summary(self) -> dict[str, object]:
        """The counts, for a log line."""
        return {
            "memory": self.state,
            "written": self.written,
            "waiting": self.waiting,
            "lost": self.dropped + self.lost,
            "failures": self.failures,
            "recalled": self.recalled,
            "skipped": self.skipped,
            "unsynced": self.unsynced,
            "undecided": self.undecided,
            "sync_kb": round((self.sent_bytes + self.received_bytes) / 1000, 1),
            "synced_at": self.synced_at,
            "sync_error": self.sync_error,
        }


class MemoryMeter:
    """Totals, and the same as metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.totals = MemoryTotals()
        prefix = "secondlook_edge_memory"

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{prefix}_{name}", text, registry=registry)

        self._up = gauge("up", "1 where the local store is open.")
        self._waiting = gauge("waiting_records", "Records that wait to be written locally.")
        self._written = counter("written_records", "Records written to the local store.")
        self._lost = counter("lost_records", "Records that were not written.", "reason")
        self._failures = counter("store_failures", "Times that the local store failed.")
        self._recalled = counter("recalled_records", "Records handed to cameras at their start.")
        self._skipped = counter("skipped_records", "Records that could not be read at a start.")
        self._unsynced = gauge("unsynced_records", "Records that the cloud does not have.")
        self._undecided = gauge("undecided_records", "Of these, those that no rule unites.")
        self._synced_at = gauge(
            "last_sync_timestamp_seconds", "Wall clock of the last complete synchronisation."
        )
        self._bytes = counter("sync_bytes", "Bytes of synchronisation, compressed.", "direction")

    def state(self, state: str) -> None:
        """``off``, ``on`` or ``failed``."""
        self.totals.state = state
        self._up.set(state == "on")

    def waiting(self, records: int) -> None:
        """Records wait to be written."""
        self.totals.waiting = records
        self._waiting.set(records)

    def written(self) -> None:
        """A record was written."""
        self.totals.written += 1
        self._written.inc()

    def dropped(self, records: int) -> None:
        """Too many waited."""
        self.totals.dropped += records
        self._lost.labels("overflow").inc(records)

    def lost(self, records: int, reason: str) -> None:
        """Records will not be written."""
        self.totals.lost += records
        self._lost.labels(reason).inc(records)

    def failed(self) -> None:
        """The store failed."""
        self.totals.failures += 1
        self._failures.inc()

    def recalled(self, records: int, skipped: int) -> None:
        """A camera was given what is known about it."""
        self.totals.recalled += records
        self.totals.skipped += skipped
        self._recalled.inc(records)
        self._skipped.inc(skipped)

    def synced(self, status: ReplicationStatus) -> None:
        """How far this memory and the cloud's are apart."""
        totals = self.totals
        counts = status.counts
        totals.unsynced, totals.undecided = counts.waiting, counts.undecided
        totals.synced_at, totals.sync_error = status.last_success, status.error
        self._unsynced.set(counts.waiting)
        self._undecided.set(counts.undecided)
        self._synced_at.set(status.last_success or 0)
        self._bytes.labels("up").inc(status.totals.bytes_up - totals.sent_bytes)
        self._bytes.labels("down").inc(status.totals.bytes_down - totals.received_bytes)
        totals.sent_bytes = status.totals.bytes_up
        totals.received_bytes = status.totals.bytes_down
