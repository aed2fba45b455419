"""What one camera's pipeline remembers. Everything in it is bounded."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.clusters import cluster
from secondlook.edge.evidence.features import sight_features
from secondlook.edge.evidence.misses import Coasting, Misses
from secondlook.edge.evidence.statistics import TrackStatistics
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.history import Entry, History, Unseen
from secondlook.edge.fusion.places import Places, Sight, same_place
from secondlook.edge.memory.knowledge import Knowledge
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.questions import Questions
from secondlook.edge.track import Tracker
from secondlook.shared.values import Detections, FrameRef
from secondlook.shared.values.detections import NO_TRACK


class Scene:
    """Tracks, beliefs, questions and answered frames of one camera, at one frame size.

    Attributes:
        tracker: the tracks that live.
        statistics: what each of them has shown.
        history: the frames answered last.
        questions: those that wait for a verdict.
        places: what is known about tracks that are gone.
        beliefs: the last verdict about each living track, by track id.
        sights: where each of those was seen last, by track id.
        misses: signs of objects that the light model missed.
        knowledge: what outlives this process; ``None`` where nothing does.
        background_s: stream time of the last whole frame that the cloud has; ``None`` without one.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        classes: int,
        first_track_id: int = 1,
        knowledge: Knowledge | None = None,
    ) -> None:
        fusion = settings.fusion
        self._fusion = fusion
        self._tracking = settings.tracker
        self.tracker = Tracker(settings.tracker, first_track_id)
        self.statistics = TrackStatistics(classes)
        self.history = History(fusion.history_frames, fusion.history_s)
        self.questions = Questions(fusion.max_questions, fusion.question_s)
        self.places = Places(fusion.same_levels)
        self.beliefs: dict[int, Belief] = {}
        self.sights: dict[int, Sight] = {}
        self.misses = Misses(settings.misses, fusion.same_levels)
        self.knowledge = knowledge
        self.background_s: float | None = None
        self._time_s = float("-inf")
        self._offset_s = 0.0

    def stream_time(self, given_s: float) -> float:
        """Stream time that never goes back, also where a stream starts over.

        A time that is no number counts as no time at all.
        """
        if not math.isfinite(given_s):
            self._time_s = max(self._time_s, 0.0)
            return self._time_s
        if given_s + self._offset_s < self._time_s:
            self._offset_s = self._time_s - given_s
        self._time_s = given_s + self._offset_s
        return self._time_s

    @property
    def now_s(self) -> float:
        """Stream time of the frame seen last."""
        return self._time_s

    def see(
        self, detections: Detections, look: Thumbnail, frame: FrameRef, time_s: float
    ) -> tuple[Detections, npt.NDArray[np.float64], list[Unseen]]:
        """Take in the next frame's boxes.

        Returns:
            The boxes with track ids and the class that each track has shown most; their features
            (see `sight_features`); the verified objects that the light model missed.
        """
        seen = cluster(detections, self._tracking)
        ids = self.tracker.associate(seen.detections, time_s)
        (rows,) = (ids != NO_TRACK).nonzero()
        followed = ids[rows]
        track_ids: list[int] = followed.tolist()
        classes = self.statistics.see(track_ids, seen, rows, time_s)
        tracked = seen.detections.select(rows).relabelled(classes, followed)
        features = sight_features(
            seen, rows, track_ids, self.statistics, (frame.width, frame.height)
        )
        self._bury()
        self._doubt_refutations(tracked, look, frame)
        self._inherit(tracked, look, time_s)
        self.questions.expire(time_s)
        unseen = self._unseen(tracked, look, time_s)
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            belief = self.beliefs.get(track_id)
            if belief is None:
                continue
            # A faint box may lie on the background that an object has left: no sight of it.
            if track_id not in self.sights or not belief.fallen(float(tracked.scores[row])):
                self.sights[track_id] = Sight(tracked.boxes[row], look, frame.width)
        if self.knowledge is not None:
            self.knowledge.settle(self.sights, time_s)
        return tracked, features, unseen

    def coasting(self, tracked: Detections, unseen: list[Unseen]) -> list[Coasting]:
        """Confirmed tracks that have no box in the frame that `see` took in last."""
        present = {*tracked.track_ids.tolist(), *(item.track_id for item in unseen)}
        tracks = self.tracker.tracks
        rows = [
            row for row, track in enumerate(tracks) if track.confirmed and track.id not in present
        ]
        if not rows:
            return []
        boxes = self.tracker.boxes()
        found = []
        for row in rows:
            track_id = tracks[row].id
            belief = self.beliefs.get(track_id)
            if belief is not None and belief.refuted:
                continue
            score = self.statistics.smoothed(track_id)
            if belief is not None:
                score = max(score, belief.score)
            found.append(Coasting(track_id, boxes[row], score))
        return found

    def believe(self, track_id: int, belief: Belief, sight: Sight) -> bool:
        """Take in a verdict about a track that lives, unless a newer one is known.

        Returns:
            Whether the track lives.
        """
        known = self.beliefs.get(track_id)
        if known is not None and known.at_s > belief.at_s:
            return True
        if not self.tracker.vouch(track_id, confirmed=not belief.refuted):
            # The track is gone, but the place may be seen again.
            self._let_go(track_id, sight, belief)
            return False
        if self.knowledge is not None:
            belief = self.knowledge.learned(track_id, belief)
        self.beliefs[track_id] = belief
        self.sights[track_id] = sight
        return True

    def latest_sight(self, track_id: int, from_entry: Entry) -> Sight | None:
        """Where a track was seen last in the frames from ``from_entry`` on."""
        found = None
        for entry in self.history.since(from_entry):
            rows = (entry.tracked.track_ids == track_id).nonzero()[0]
            if len(rows):
                found = Sight(entry.tracked.boxes[rows[0]], entry.look, entry.frame.width)
        return found

    def _bury(self) -> None:
        """Let go of what is believed about tracks that are gone; their places keep it."""
        alive = {track.id for track in self.tracker.tracks}
        self.statistics.keep(alive)
        for track_id in [key for key in self.beliefs if key not in alive]:
            self._let_go(track_id, self.sights.pop(track_id), self.beliefs.pop(track_id))

    def _let_go(self, track_id: int, sight: Sight, belief: Belief) -> None:
        self.places.remember(sight, belief)
        if self.knowledge is not None:
            self.knowledge.gone(track_id, sight, belief, self._time_s)

    def _doubt_refutations(self, tracked: Detections, look: Thumbnail, frame: FrameRef) -> None:
        """Forget that nothing is there where something may have come: at another or a new look."""
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            belief = self.beliefs.get(track_id)
            if belief is None or not belief.refuted:
                continue
            refuted = Sight(belief.box, belief.look, frame.width)
            moved = not same_place(tracked.boxes[row], belief.box)
            if moved or not refuted.unchanged(look, self._fusion.same_levels):
                del self.beliefs[track_id], self.sights[track_id]

    def _inherit(self, tracked: Detections, look: Thumbnail, time_s: float) -> None:
        """Give tracks that begin now what is known about their place."""
        if not len(self.places) and self.knowledge is None:
            return
        begun = {track.id for track in self.tracker.tracks if track.hits == 1}
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            if track_id in begun and track_id not in self.beliefs:
                belief = self._known_at(tracked.boxes[row], look, time_s)
                if belief is not None:
                    self.beliefs[track_id] = belief

    def _known_at(
        self, box: npt.NDArray[np.float32], look: Thumbnail, time_s: float
    ) -> Belief | None:
        belief = self.places.take(box, look, time_s)
        if self.knowledge is not None and (belief is None or belief.refuted):
            # What has been refuted again and again need not be asked for long.
            belief = self.knowledge.find(box, look, time_s) or belief
        return belief

    def _unseen(self, tracked: Detections, look: Thumbnail, time_s: float) -> list[Unseen]:
        """Verified objects that the light model missed, at places that look as they did."""
        seen = set(tracked.track_ids.tolist())
        found = []
        for track_id, belief in self.beliefs.items():
            if track_id in seen or belief.refuted:
                continue
            if time_s > belief.at_s + self._fusion.unseen_s:
                continue
            sight = self.sights[track_id]
            if sight.unchanged(look, self._fusion.same_levels):
                self.tracker.keep_alive(track_id, time_s)
                found.append(Unseen(track_id, sight.box))
        return found
