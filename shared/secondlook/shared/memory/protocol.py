"""What a store of the context memory promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from secondlook.shared.memory.record import Changes, Document, Origin, Outcome, Record, Write


@runtime_checkable
class ContextStore(Protocol):
    """Versioned records with optimistic locking.

    Implementations MUST:
      - make each ``save`` and ``delete`` one atomic step: of two writers that expect the same
        version, exactly one wins and the other gets `VersionConflict` with the record that stands;
      - let versions of a record start at 1 and grow by exactly 1 a write, across deletions: a save
        over a tombstone expects 0 (nothing stands) and continues the tombstone's count. Only where
        the tombstone itself has been forgotten (see `Compactable`) the count starts anew;
      - treat a record past its time to live as absent (as if deleted);
      - give each write a ``change`` greater than all earlier ones of the store;
      - list each record at most once in ``changes``, at its newest change, tombstones included;
      - never lose a write that was acknowledged;
      - write once what is sent twice: remember for each record the last `Origin` of each of the
        `MAX_REPLICAS` replicas that wrote it last, deletions included, and answer a write whose
        origin is remembered with what stands, whatever version it expects;
      - refuse bad ids and data with `InvalidInput` before anything is written;
      - never block the event loop, and survive cancellation of a call at any point.
    """

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        """Write if ``expected_version`` stands; 0 means "must not exist".

        Returns:
            The record as written; of a repetition (``origin``), what stands now: possibly newer,
            possibly a tombstone.

        Raises:
            VersionConflict: another version stands; carries it.
            InvalidInput: bad id, data, version, origin or time to live.
            Overloaded: the store is bounded, full, and may let nothing go.
            StoreError: the store failed; whether the write happened is unknown.
        """
        ...

    async def load(self, record_id: str) -> Record:
        """The record that stands.

        Raises:
            NotFound: never saved, deleted or expired.
        """
        ...

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        """Leave a tombstone, if ``expected_version`` stands. Returns the tombstone.

        Raises:
            NotFound: nothing stands.
            VersionConflict: another version stands; carries it.
        """
        ...

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """Many writes in one round trip, in order; each is atomic and succeeds or fails alone.

        Args:
            writes: at most `MAX_BATCH`.

        Returns:
            An outcome for each write.

        Raises:
            InvalidInput: too many writes.
            StoreError: the store failed; which of them happened is unknown.
        """
        ...

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """The records under ``prefix`` whose newest change is after ``since``; limit 1 to 1000.

        Raises:
            CursorTooOld: tombstones after ``since`` have been forgotten. 0 is never too old, nor
                are the cursors of the pages that follow from there.
        """
        ...

    async def ping(self) -> None:
        """Return if the store answers.

        Raises:
            StoreError: it does not.
        """
        ...

    async def close(self) -> None:
        """Release connections and threads. Safe to repeat."""
        ...


@runtime_checkable
class Compactable(Protocol):
    """A store that can forget what has been dead for long."""

    async def compact(self, keep_s: float, limit: int = 1000) -> int:
        """Forget records that were deleted, or have expired, more than ``keep_s`` seconds ago.

        The deletions it forgets raise the floor below which `ContextStore.changes` answers
        `CursorTooOld`.

        Args:
            keep_s: how long tombstones stay; longer than any replica is away.
            limit: most records forgotten in this call.

        Returns:
            How many were forgotten; below ``limit``: there are no more.
        """
        ...
