"""What one pipeline knows beyond its tracks, and what of that is worth writing down. No I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.places import MAX_PLACES, Places, Sight, same_place
from secondlook.edge.fusion.vocabulary import Vocabulary
from secondlook.edge.memory.false_positives import FalsePositives
from secondlook.edge.memory.looks import cut
from secondlook.edge.memory.notes import Note, Recollection, size_key
from secondlook.edge.memory.prior import Prior
from secondlook.edge.memory.recalling import Recall
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.memory.kinds import FalsePositive, GateState, Kind, ScenePrior, TrackVerdict
from secondlook.shared.values import Detections, FrameRef, Purpose

_MAX_TOLD = 2 * MAX_PLACES


@dataclass(slots=True)
class _Standing:
    """A verdict about a living track, until it is known whether the object stays.

    Attributes:
        belief: the verdict.
        since_s: stream time since which verdicts have found the track at this place.
    """

    belief: Belief
    since_s: float


class Knowledge:
    """Of one camera at one frame size. Not safe for concurrent use.

    Args:
        settings: of the pipeline.
        frame: a frame of the camera: its size.
        vocabulary: names of the classes.
        session: makes keys of records unique.
        notes: what is to be written down is appended here.
        known: what earlier processes knew.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        frame: FrameRef,
        vocabulary: Vocabulary,
        session: str,
        notes: deque[Note],
        known: Recollection,
    ) -> None:
        self._memory = settings.memory
        self._frame = frame
        self._vocabulary = vocabulary
        self._session = session
        self._notes = notes
        self._known = known
        self._standing: dict[int, _Standing] = {}
        self._false = FalsePositives(settings.fusion.same_levels, frame.width)
        self._tally = GateState()
        self._told: OrderedDict[tuple[type[Kind], str], Belief] = OrderedDict()
        self._counts_told_s: float | None = None
        self._size = size_key(frame.width, frame.height)
        self.prior = Prior(frame, vocabulary, known.priors.get(self._size))

    def recall(
        self, places: Places, frame: FrameRef, look: Thumbnail, time_s: float
    ) -> float | None:
        """Bring back what was known, at the first frame.

        Args:
            places: gets the verdicts of old.
            frame: the first frame.
            look: its thumbnail.
            time_s: its stream time.

        Returns:
            Stream time of the whole frame that the cloud has; ``None`` where it has none.
        """
        recall = Recall(frame, look, time_s, self._vocabulary)
        for key, said in self._known.false_positives.items():
            belief = recall.belief(key, said)
            if belief is not None and belief.until_s >= time_s:
                self._false.add(belief)
        for key, verdict in self._known.verdicts.items():
            belief = recall.belief(key, verdict)
            if belief is None:
                continue
            stands_until_s = max(belief.until_s, belief.at_s + self._memory.recall_s)
            if stands_until_s >= time_s:
                sight = Sight(belief.box, belief.look, frame.width)
                places.remember(sight, belief, stands_until_s)
        background_at_s = self._known.background_at_s(self._size)
        if background_at_s is None:
            return None
        age_s = recall.age_s(background_at_s)
        return None if age_s is None else time_s - age_s

    def learned(self, track_id: int, belief: Belief) -> Belief:
        """A verdict about a track that lives.

        Returns:
            The belief; that of a known false positive holds for longer.
        """
        if not belief.key:
            belief = replace(belief, key=f"{self._session}-{track_id}")
        before = self._standing.get(track_id)
        stayed = before is not None and same_place(before.belief.box, belief.box)
        since_s = before.since_s if before is not None and stayed else belief.at_s
        self._standing[track_id] = _Standing(belief, since_s)
        if not belief.refuted:
            for key in self._false.contradicted(belief):
                self._told.pop((FalsePositive, key), None)
                self._notes.append(Note(FalsePositive, key, None))
        elif (
            belief.confirmations >= self._memory.false_positive_confirmations
            and belief.at_s >= belief.since_s + self._memory.false_positive_after_s
        ):
            until_s = belief.at_s + self._memory.false_positive_life_s
            belief = replace(belief, until_s=until_s, lasting=True)
            self._standing.pop(track_id)
            self._write_false_positive(belief)
            self._false.add(belief)
        return belief

    def gone(self, track_id: int, sight: Sight, belief: Belief, time_s: float) -> None:
        """A track has ended; what was known about it is of use where it had stayed."""
        standing = self._standing.pop(track_id, None)
        if standing is not None and self._stayed(standing, sight, time_s):
            self._write_verdict(belief)

    def find(self, box: npt.NDArray[np.float32], now: Thumbnail, time_s: float) -> Belief | None:
        """What is known for long about the place of a new track: that nothing is there."""
        return self._false.find(box, now, time_s) if len(self._false) else None

    def settle(self, sights: dict[int, Sight], time_s: float) -> None:
        """Write down the verdicts whose objects have stayed in place."""
        if not self._standing:
            return
        due_s = time_s - self._memory.settle_s
        due = [key for key, standing in self._standing.items() if standing.since_s <= due_s]
        for track_id in due:
            standing, sight = self._standing.pop(track_id), sights.get(track_id)
            if sight is not None and self._stayed(standing, sight, time_s):
                self._write_verdict(standing.belief)

    def _stayed(self, standing: _Standing, sight: Sight, time_s: float) -> bool:
        """Whether an object was long enough where the cloud has judged it."""
        settled = time_s >= standing.since_s + self._memory.settle_s
        return settled and same_place(sight.box, standing.belief.box)

    def published(self, answer: Detections, time_s: float) -> None:
        """Count an answer; write down now and then what was counted."""
        self.prior.count(answer)
        if self._counts_told_s is None:
            self._counts_told_s = time_s
        elif time_s >= self._counts_told_s + self._memory.prior_every_s:
            self._counts_told_s = time_s
            self.write_counts()

    def asked(self) -> None:
        """Count an escalation."""
        self._tally = self._tally.model_copy(update={"asked": self._tally.asked + 1})

    def answered(self, purpose: Purpose, *, missed: bool) -> None:
        """Count a verdict; ``missed``: it found an object that the answer lacked."""
        audit = purpose is Purpose.AUDIT
        tally = self._tally
        self._tally = tally.model_copy(
            update={
                "answered": tally.answered + 1,
                "audits": tally.audits + audit,
                "missed": tally.missed + (audit and missed),
            }
        )

    def background(self, captured_at: float) -> None:
        """The cloud has a whole frame captured at that wall clock time."""
        self._tally = self._tally.model_copy(update={"background_at_s": captured_at})
        self._write_tally()

    def write_counts(self) -> None:
        """Write down everything counted since the last time."""
        self._write_tally()
        news = self.prior.news()
        if news is not None:
            self._notes.append(Note(ScenePrior, self._size, news))

    def _write_tally(self) -> None:
        if self._tally != GateState():
            self._notes.append(Note(GateState, self._size, self._tally))
            self._tally = GateState()

    def _write_verdict(self, belief: Belief) -> None:
        if self._is_told(TrackVerdict, belief):
            return
        try:
            value = TrackVerdict(
                **self._place(belief),
                class_name=self._vocabulary.names[belief.class_index],
                score=min(1.0, belief.score),
                refuted=belief.refuted,
                confirmations=belief.confirmations,
                correction=_floats(belief.correction),
            )
        except ValidationError:
            # A place too large for a record, or a name too long: known in this process only.
            return
        self._tell(Note(TrackVerdict, belief.key, value), belief)

    def _write_false_positive(self, belief: Belief) -> None:
        if self._is_told(FalsePositive, belief):
            return
        seen = 1 if belief.key in self._false else belief.confirmations + 1
        try:
            value = FalsePositive(**self._place(belief), seen=seen)
        except ValidationError:
            return
        self._tell(Note(FalsePositive, belief.key, value), belief)

    def _is_told(self, kind: type[Kind], belief: Belief) -> bool:
        """Whether a record says the same already, and holds for long enough yet."""
        told = self._told.get((kind, belief.key))
        return (
            told is not None
            and belief.agrees(told)
            and same_place(belief.box, told.box)
            and belief.at_s < (told.at_s + told.until_s) / 2
        )

    def _tell(self, note: Note, belief: Belief) -> None:
        self._notes.append(note)
        self._told.pop((note.kind, note.key), None)
        self._told[note.kind, note.key] = belief
        while len(self._told) > _MAX_TOLD:
            self._told.popitem(last=False)

    def _place(self, belief: Belief) -> dict[str, Any]:
        """The fields that all records of places have."""
        names = self._vocabulary.names
        return {
            "at_s": belief.captured_at,
            "until_s": belief.captured_at + (belief.until_s - belief.at_s),
            "frame_width": self._frame.width,
            "frame_height": self._frame.height,
            "box": _floats(belief.box),
            "look": cut(belief.look, belief.box, self._frame.width),
            "edge_class": names[belief.edge_class] if belief.edge_class >= 0 else None,
            "edge_score": min(1.0, belief.edge_score),
            "model": belief.model or "unknown",
            "model_version": belief.version,
        }


def _floats(values: Sequence[float] | npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    a, b, c, d = (float(value) for value in values)
    return a, b, c, d
