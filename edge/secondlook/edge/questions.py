"""The questions that wait for a verdict. Bounded by number and by age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secondlook.edge.evidence.misses import shown_in
from secondlook.edge.fusion.history import Entry
from secondlook.shared.geometry import coverage
from secondlook.shared.values import Region

_COVERED = 0.9
"""Share of a box that must lie in a region for its question to count as asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way.

    Attributes:
        request_id: id of the escalation.
        sequence: the frame it is about.
        time_s: stream time of that frame.
        track_ids: the tracks it speaks about.
        whole_frame: whether the whole frame was sent.
        suspects: keys of the signs of misses that it looks into.
    """

    request_id: str
    sequence: int
    time_s: float
    track_ids: frozenset[int]
    whole_frame: bool
    suspects: frozenset[str] = frozenset()


class Questions:
    """Questions by request id."""

    def __init__(self, max_questions: int, max_s: float) -> None:
        self._max_questions = max_questions
        self._max_s = max_s
        self._waiting: dict[str, Asked] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, asked: Asked) -> None:
        """Note a question; the oldest goes where there are too many."""
        if len(self._waiting) >= self._max_questions:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[asked.request_id] = asked

    def settle(self, request_id: str) -> Asked | None:
        """A question is answered or has failed; ``None`` where it is not known (any more)."""
        return self._waiting.pop(request_id, None)

    def expire(self, time_s: float) -> None:
        """Give up on questions asked too long before ``time_s``."""
        lost = [key for key, q in self._waiting.items() if q.time_s < time_s - self._max_s]
        for key in lost:
            del self._waiting[key]

    def tracks(self) -> set[int]:
        """The tracks that are being asked about."""
        return {track_id for asked in self._waiting.values() for track_id in asked.track_ids}

    def suspects(self) -> set[str]:
        """The signs of misses that are being looked into."""
        return {key for asked in self._waiting.values() for key in asked.suspects}

    def whole_frame_waits(self) -> bool:
        """Whether a whole frame is on its way."""
        return any(asked.whole_frame for asked in self._waiting.values())

    def clear(self) -> None:
        """Forget all questions."""
        self._waiting.clear()


def tracks_in(entry: Entry, regions: tuple[Region, ...]) -> frozenset[int]:
    """The tracks of a frame that the regions show."""
    places = np.array([region.xyxy for region in regions], np.float32)
    inside = coverage(entry.tracked.boxes, places).max(axis=1, initial=0) >= _COVERED
    ids = set(entry.tracked.track_ids[inside].tolist())
    if entry.unseen:
        boxes = np.stack([item.box for item in entry.unseen])
        shown = coverage(boxes, places).max(axis=1, initial=0) >= _COVERED
        ids |= {item.track_id for item, s in zip(entry.unseen, shown, strict=True) if s}
    return frozenset(ids)


def suspects_in(entry: Entry, regions: tuple[Region, ...]) -> frozenset[str]:
    """Keys of the signs of misses that the regions show."""
    places = np.array([region.xyxy for region in regions], np.float32).reshape(-1, 4)
    return frozenset(suspect.key for suspect in shown_in(entry.signs.suspects, places))
