"""What a store of the context memory promises."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from secondlook.shared.memory.record import Changes, Document, Record


@runtime_checkable
class ContextStore(Protocol):
    """Versioned records with optimistic locking.

    Implementations MUST:
      - make each ``save`` and ``delete`` one atomic step: of two writers that expect the same
        version, exactly one wins and the other gets `VersionConflict` with the record that stands;
      - let versions of a record start at 1 and grow by exactly 1 a write, across deletions: a save
        over a tombstone expects 0 (nothing stands) and continues the tombstone's count;
      - treat a record past its time to live as absent (as if deleted);
      - give each write a ``change`` greater than all earlier ones of the store;
      - list each record at most once in ``changes``, at its newest change, tombstones included;
      - never lose a write that was acknowledged;
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
    ) -> Record:
        """Write if ``expected_version`` stands; 0 means "must not exist".

        Raises:
            VersionConflict: another version stands; carries it.
            InvalidInput: bad id, data, version or time to live.
            StoreError: the store failed; whether the write happened is unknown.
        """
        ...

    async def load(self, record_id: str) -> Record:
        """The record that stands.

        Raises:
            NotFound: never saved, deleted or expired.
        """
        ...

    async def delete(self, record_id: str, expected_version: int, *, writer: str) -> Record:
        """Leave a tombstone, if ``expected_version`` stands. Returns the tombstone.

        Raises:
            NotFound: nothing stands.
            VersionConflict: another version stands; carries it.
        """
        ...

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """The records under ``prefix`` whose newest change is after ``since``; limit 1 to 1000."""
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
