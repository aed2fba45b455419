"""Association in the manner of ByteTrack: strong boxes first, weak ones with what is left over.

Unlike the original, rather weak boxes may start tracks as well: the gate asks about a weak box that
is seen again, and a verdict about it must find a track to land on. Class plays no part, because the
light model's class flips more often than two objects swap places. Time enters in seconds, so that
dropped frames and any analysis rate are handled alike.

Written here because no library fits: those on PyPI pull in torch or supervision, or are no longer
kept, and none takes verdicts from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.clusters import cluster
from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.edge.track.association import Likeness, assign, reach_likeness
from secondlook.edge.track.motion import Motion
from secondlook.shared.geometry import Boxes, iou
from secondlook.shared.values import Detections
from secondlook.shared.values.detections import NO_TRACK


@dataclass(slots=True)
class Track:
    """One object over time.

    Attributes:
        id: unique within the camera, never used again.
        first_s: stream time of the first sight.
        last_s: stream time of the last sight.
        hits: frames in which it was seen.
        confirmed: whether it was seen often enough, or a verdict vouches for it.
    """

    id: int
    first_s: float
    last_s: float
    hits: int
    confirmed: bool = False


class Tracker:
    """Tracks of one camera. Not safe for concurrent use."""

    def __init__(self, settings: TrackerSettings, first_id: int = 1) -> None:
        self._settings = settings
        self._tracks: list[Track] = []
        self._motion = Motion.empty()
        self._now_s: float | None = None
        self._next_id = first_id

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks that live, oldest first."""
        return tuple(self._tracks)

    @property
    def next_id(self) -> int:
        """No track has had this id or one above it."""
        return self._next_id

    def boxes(self) -> Boxes:
        """float32 (n, 4): where each of ``tracks`` is now, as far as is known."""
        return self._motion.boxes()

    def update(self, detections: Detections, time_s: float) -> Detections:
        """Take in the boxes of the next frame.

        Args:
            detections: any order; scores from about 0.05 on.
            time_s: stream time of the frame, seconds; a step back counts as no time at all.

        Returns:
            The boxes that belong to a track, best first, without double boxes.
        """
        kept = cluster(detections, self._settings).detections
        ids = self.associate(kept, time_s)
        return kept.with_track_ids(ids).select(ids != NO_TRACK)

    def associate(self, kept: Detections, time_s: float) -> npt.NDArray[np.int64]:
        """Take in the boxes of the next frame, clustered already; see `update`.

        Returns:
            int64 (n,): the track of each box; `NO_TRACK` for boxes that are too weak for one.
        """
        before_s = time_s if self._now_s is None else self._now_s
        now_s = self._now_s = max(before_s, time_s)
        # However rarely frames come, a track of the previous one is not too old.
        oldest_s = min(before_s, now_s - self._settings.coast_s)
        self._keep(lambda track: track.last_s >= oldest_s)
        self._motion.predict(now_s - before_s)
        ids = self._associate(kept)
        self._keep(lambda track: track.confirmed or track.last_s >= now_s)
        return ids

    def reserve_id(self) -> int:
        """A fresh track id, for an object that only the cloud has seen."""
        self._next_id += 1
        return self._next_id - 1

    def start(self, track_id: int, box: npt.NDArray[np.float32], time_s: float) -> None:
        """Start a confirmed track under a reserved id.

        Args:
            track_id: from `reserve_id`.
            box: float32 (4,), where the object is.
            time_s: stream time at which it is there.
        """
        if len(self._tracks) < self._settings.max_tracks:
            self._motion.add(box[None])
            self._tracks.append(Track(track_id, time_s, time_s, 1, confirmed=True))

    def vouch(self, track_id: int, *, confirmed: bool) -> bool:
        """A verdict speaks about a track; returns whether the track lives."""
        for track in self._tracks:
            if track.id == track_id:
                track.confirmed = track.confirmed or confirmed
                return True
        return False

    def keep_alive(self, track_id: int, time_s: float) -> None:
        """Count a track as present without a box: its place looks as it did."""
        for track in self._tracks:
            if track.id == track_id:
                track.last_s = max(track.last_s, time_s)

    def _associate(self, kept: Detections) -> npt.NDArray[np.int64]:
        settings, tracks = self._settings, self._tracks
        ids = np.full(len(kept), NO_TRACK, np.int64)
        open_tracks, open_boxes = [True] * len(tracks), [True] * len(kept)
        pairs: list[tuple[int, int]] = []

        def take(found: list[tuple[int, int]]) -> None:
            for row, column in found:
                open_tracks[row] = open_boxes[column] = False
            pairs.extend(found)

        if tracks and len(kept):
            predicted = self._motion.boxes()
            overlap = Likeness(iou(predicted, kept.boxes), settings.match_iou)
            confirmed = [track.confirmed for track in tracks]
            strong = (kept.scores >= settings.high_score).tolist()
            take(overlap.assign(confirmed, strong))
            late = [sure and open_ for sure, open_ in zip(confirmed, open_tracks, strict=True)]
            take(overlap.assign(late, [not is_strong for is_strong in strong]))
            take(overlap.assign(open_tracks, open_boxes))
            if settings.reach > 0:
                take(self._reached(predicted, kept.boxes, open_tracks, open_boxes))
        self._see(pairs, kept, ids)
        begun = np.array(open_boxes, bool) & (kept.scores >= settings.start_score)
        if begun.any():
            which = begun.nonzero()[0][: max(0, settings.max_tracks - len(tracks))]
            ids[which] = self._add(kept.boxes[which], self._now_s or 0.0)
        return ids

    def _reached(
        self, predicted: Boxes, boxes: Boxes, open_tracks: list[bool], open_boxes: list[bool]
    ) -> list[tuple[int, int]]:
        """Pairs of what is left, of objects that moved by more than their size."""
        rows, columns = np.flatnonzero(open_tracks), np.flatnonzero(open_boxes)
        if not (len(rows) and len(columns)):
            return []
        likeness = reach_likeness(predicted[rows], boxes[columns], self._settings.reach)
        left, right = assign(likeness, self._settings.match_iou)
        return list(zip(rows[left].tolist(), columns[right].tolist(), strict=True))

    def _see(
        self, pairs: list[tuple[int, int]], kept: Detections, ids: npt.NDArray[np.int64]
    ) -> None:
        """Tracks (the first of each pair) get their boxes (the second)."""
        if not pairs:
            return
        rows, columns = np.array(pairs, np.intp).T
        self._motion.measure(rows, kept.boxes[columns])
        now_s, enough = self._now_s or 0.0, self._settings.confirm_hits
        for row, column in pairs:
            track = self._tracks[row]
            track.hits += 1
            track.last_s = now_s
            track.confirmed = track.confirmed or track.hits >= enough
            ids[column] = track.id

    def _add(self, boxes: Boxes, time_s: float) -> npt.NDArray[np.int64]:
        ids = [self.reserve_id() for _ in range(len(boxes))]
        self._motion.add(boxes)
        confirmed = self._settings.confirm_hits <= 1
        self._tracks.extend(Track(i, time_s, time_s, 1, confirmed) for i in ids)
        return np.array(ids, np.int64)

    def _keep(self, lives: Callable[[Track], bool]) -> None:
        """Drop all tracks but those that live."""
        kept = [lives(track) for track in self._tracks]
        if not all(kept):
            self._motion.keep(np.array(kept, bool))
            self._tracks = [track for track, stays in zip(self._tracks, kept, strict=True) if stays]
