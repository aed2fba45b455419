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
from secondlook.edge.track.association import assign, reach_likeness
from secondlook.edge.track.motion import Motion
from secondlook.shared.geometry import Boxes, iou
from secondlook.shared.values import Detections
from secondlook.shared.values.detections import NO_TRACK

Rows = npt.NDArray[np.intp]


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
        settings = self._settings
        ids = np.full(len(kept), NO_TRACK, np.int64)
        predicted = self._motion.boxes()
        free_tracks = np.ones(len(self._tracks), bool)
        free_boxes = np.ones(len(kept), bool)
        confirmed = np.array([track.confirmed for track in self._tracks], bool)
        strong = kept.scores >= settings.high_score

        def match(
            of_tracks: npt.NDArray[np.bool_],
            of_boxes: npt.NDArray[np.bool_],
            likeness: Callable[[Boxes, Boxes], npt.NDArray[np.float32]],
        ) -> None:
            tracks, boxes = (
                np.flatnonzero(of_tracks & free_tracks),
                np.flatnonzero(of_boxes & free_boxes),
            )
            if not (len(tracks) and len(boxes)):
                return
            left, right = assign(likeness(predicted[tracks], kept.boxes[boxes]), settings.match_iou)
            self._see(tracks[left], boxes[right], kept, ids)
            free_tracks[tracks[left]] = False
            free_boxes[boxes[right]] = False

        every_track = np.ones(len(self._tracks), bool)
        every_box = np.ones(len(kept), bool)
        match(confirmed, strong, iou)
        match(confirmed, ~strong, iou)
        match(every_track, every_box, iou)
        if settings.reach > 0:
            match(every_track, every_box, lambda a, b: reach_likeness(a, b, settings.reach))
        begun = np.flatnonzero(free_boxes & (kept.scores >= settings.start_score))
        begun = begun[: max(0, settings.max_tracks - len(self._tracks))]
        ids[begun] = self._add(kept.boxes[begun], self._now_s or 0.0)
        return ids

    def _see(self, tracks: Rows, boxes: Rows, kept: Detections, ids: npt.NDArray[np.int64]) -> None:
        self._motion.measure(tracks, kept.boxes[boxes])
        for row, at in zip(tracks.tolist(), boxes.tolist(), strict=True):
            track = self._tracks[row]
            track.hits += 1
            track.last_s = self._now_s or 0.0
            track.confirmed = track.confirmed or track.hits >= self._settings.confirm_hits
            ids[at] = track.id

    def _add(self, boxes: Boxes, time_s: float) -> npt.NDArray[np.int64]:
        ids = [self.reserve_id() for _ in range(len(boxes))]
        self._motion.add(boxes)
        confirmed = self._settings.confirm_hits <= 1
        self._tracks.extend(Track(i, time_s, time_s, 1, confirmed) for i in ids)
        return np.array(ids, np.int64)

    def _keep(self, lives: Callable[[Track], bool]) -> None:
        """Drop all tracks but those that live."""
        kept = np.array([lives(track) for track in self._tracks], bool)
        if not kept.all():
            self._motion.keep(kept)
            self._tracks = [track for track in self._tracks if lives(track)]
