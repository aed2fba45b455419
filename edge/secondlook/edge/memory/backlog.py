"""What waits to be written: bounded, and one note for each record."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from secondlook.edge.memory.notes import Note


class Backlog:
    """Notes of one camera by record id, the oldest first; where it is full, the oldest goes.

    Attributes:
        dropped: notes that went because it was full.

    Args:
        limit: most records.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: OrderedDict[str, Note] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, record_id: str, note: Note) -> None:
        """Take in the newest note about a record."""
        earlier = self._waiting.pop(record_id, None)
        self._waiting[record_id] = note if earlier is None else note.after(earlier)
        self._bound()

    def take(self, most: int) -> dict[str, Note]:
        """The oldest notes, by record id."""
        taken: dict[str, Note] = {}
        while self._waiting and len(taken) < most:
            record_id, note = self._waiting.popitem(last=False)
            taken[record_id] = note
        return taken

    def give_back(self, notes: Iterable[tuple[str, Note]]) -> None:
        """Notes that could not be written, in their order; newer ones may have come meanwhile."""
        for record_id, note in reversed(list(notes)):
            later = self._waiting.get(record_id)
            self._waiting[record_id] = note if later is None else later.after(note)
            self._waiting.move_to_end(record_id, last=False)
        self._bound()

    def _bound(self) -> None:
        while len(self._waiting) > self._limit:
            self._waiting.popitem(last=False)
            self.dropped += 1
