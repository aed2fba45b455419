"""The last answered frames of a camera, kept small, so that verdicts can revise them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.misses import Signs
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.reading import Known
from secondlook.shared.values import Detections, FrameRef, Observation


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """A verified object in a frame in which the light model did not see it.

    Attributes:
        track_id: its track.
        box: float32 (4,), where it was last, at a place that still looks the same.
    """

    track_id: int
    box: npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Entry:
    """An answered frame, without its pixels.

    Attributes:
        frame: which frame.
        time_s: its stream time.
        look: its thumbnail.
        tracked: all boxes of the light model, with track ids, also those not published; each with
            the class that its track has shown most.
        features: float64 (len(tracked), `len(SIGHT)`), what a risk model reads of them.
        unseen: verified objects that the light model missed.
        beliefs: what is believed about the tracks of this frame, by track id: the verdict
            nearest in time.
        signs: what it shows beside its boxes.
        corrected: boxes that a verdict about this very frame put right, by track id.
        between: boxes that lie between those of a verdict before and one after, by track id.
        doubles: rows of ``tracked`` that, as a verdict about this very frame says, lie on an object
            that another row is.
        observation: what stands for this frame now.
    """

    frame: FrameRef
    time_s: float
    look: Thumbnail
    tracked: Detections
    features: npt.NDArray[np.float64]
    unseen: list[Unseen]
    beliefs: dict[int, Belief]
    observation: Observation
    signs: Signs = field(default_factory=Signs)
    corrected: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    between: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    doubles: set[int] = field(default_factory=set)

    def holds(self, track_id: int) -> bool:
        """Whether the track occurs in this frame."""
        return bool((self.tracked.track_ids == track_id).any()) or any(
            item.track_id == track_id for item in self.unseen
        )

    def known(self) -> Known | None:
        """What verdicts have found of its objects; ``None``: nothing."""
        rows, classes = [], []
        for row, track_id in enumerate(self.tracked.track_ids.tolist()):
            belief = self.beliefs.get(track_id)
            if belief is not None and not belief.refuted:
                rows.append(row)
                classes.append(belief.class_index)
        if not rows:
            return None
        return Known(self.tracked.boxes[rows], np.array(classes, self.tracked.classes.dtype))


class History:
    """Answered frames in order, bounded by number and by age."""

    def __init__(self, max_frames: int, max_s: float) -> None:
        self._max_s = max_s
        self._entries: deque[Entry] = deque(maxlen=max_frames)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> Entry | None:
        """The frame answered last."""
        return self._entries[-1] if self._entries else None

    def add(self, entry: Entry) -> None:
        """Append the next frame and let go of those that are too old."""
        self._entries.append(entry)
        while self._entries[0].time_s < entry.time_s - self._max_s:
            self._entries.popleft()

    def find(self, sequence: int) -> Entry | None:
        """The frame of that number, while it is kept."""
        for entry in reversed(self._entries):
            if entry.frame.sequence == sequence:
                return entry
        return None

    def since(self, entry: Entry) -> Iterator[Entry]:
        """That frame and those after it."""
        found = False
        for candidate in self._entries:
            found = found or candidate is entry
            if found:
                yield candidate

    def around(self, entry: Entry, back_s: float) -> Iterator[Entry]:
        """That frame, those after it, and those up to ``back_s`` before it, in order."""
        for candidate in self._entries:
            if candidate.time_s >= entry.time_s - back_s:
                yield candidate

    def clear(self) -> None:
        """Forget all frames."""
        self._entries.clear()
