"""What a verdict said about one track, and for how long it holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.fusion.correction import NO_CORRECTION, correction
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Detections

EDGE_VOTE = 0.8
"""What the light model's judgement about a class weighs beside one verdict's."""
_VOTE_MEMORY = 0.8
"""What a verdict on a class still weighs when the next one comes."""
_MAX_VOTES = 4
_FALLEN_SHARE = 0.3
"""A box below this share of the score it had when the cloud was asked is no longer vouched for."""


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """The last verdict about a track.

    Attributes:
        at_s: stream time of the frame that was asked about.
        until_s: stream time until which the verdict holds.
        refuted: the cloud saw nothing there.
        class_index: the class that stands; the light model's where refuted.
        score: the heavy model's score; 0 where refuted.
        box: float32 (4,), where the object was in that frame.
        look: thumbnail of that frame.
        edge_class: the light model's class in that frame; -1 where it saw nothing.
        edge_score: the light model's score in that frame.
        confirmations: verdicts in a row that said the same.
        since_s: stream time of the first of them.
        lasting: a known false positive: it stands as long as it holds.
        votes: (class, weight), what this verdict and earlier ones have said about the class.
        request_id: the escalation that was answered.
        correction: float32 (4,), how the cloud's box differs from the light model's in that frame,
            see `secondlook.edge.fusion.correction`.
        captured_at: wall clock of that frame, seconds since the Unix epoch.
        model: the heavy model that said it.
        version: the version of that model.
        key: names the record that keeps it beyond this process; empty where none does.
    """

    at_s: float
    until_s: float
    refuted: bool
    class_index: int
    score: float
    box: npt.NDArray[np.float32]
    look: Thumbnail
    edge_class: int
    edge_score: float
    confirmations: int
    request_id: str
    correction: npt.NDArray[np.float32] = field(default_factory=lambda: NO_CORRECTION)
    captured_at: float = 0.0
    model: str = ""
    version: str = ""
    key: str = ""
    since_s: float = float("inf")
    lasting: bool = False
    votes: tuple[tuple[int, float], ...] = ()

    @classmethod
    def judged(
        cls,
        edge: Detections,
        row: int | None,
        box: npt.NDArray[np.float32],
        verdict: Detections,
        found: int | None,
        *,
        look: Thumbnail,
        time_s: float,
        cut: bool = False,
    ) -> Belief:
        """What a verdict on one frame says about one object; from whom is for the caller to add.

        Args:
            edge: the light model's boxes of that frame.
            row: the object among them; ``None``: the light model did not see it.
            box: float32 (4,), where it is; the light model's box where it has one.
            verdict: the heavy model's boxes.
            found: the object among them; ``None``: the heavy model saw nothing there.
            look: thumbnail of that frame.
            time_s: its stream time.
            cut: whether the heavy model may have seen only a part of it.
        """
        edge_class = -1 if row is None else int(edge.classes[row])
        change = NO_CORRECTION
        if row is not None and found is not None and not cut:
            change = correction(box, verdict.boxes[found])
        return cls(
            at_s=time_s,
            until_s=time_s,
            refuted=found is None,
            class_index=edge_class if found is None else int(verdict.classes[found]),
            score=0.0 if found is None else float(verdict.scores[found]),
            box=box,
            look=look,
            edge_class=edge_class,
            edge_score=0.0 if row is None else float(edge.scores[row]),
            confirmations=0,
            request_id="",
            correction=change,
        )

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    def lasts(self, time_s: float) -> bool:
        """Whether it says of a known false positive that nothing is there, and still holds."""
        return self.lasting and self.refuted and time_s <= self.until_s

    def fallen(self, score: float) -> bool:
        """Whether the light model is by now so much less sure that the object may have left."""
        return score < _FALLEN_SHARE * self.edge_score

    def after(self, before: Belief | None, settings: GateSettings) -> Belief:
        """This verdict with the time for which it holds, given what was believed before."""
        confirmed = before is not None and before.at_s < self.at_s and self.agrees(before)
        confirmations = before.confirmations + 1 if before is not None and confirmed else 0
        until_s = self.at_s + holds_for_s(confirmations, settings)
        since_s = before.since_s if before is not None and confirmed else self.at_s
        key = before.key if before is not None else self.key
        return replace(
            self,
            confirmations=confirmations,
            until_s=until_s,
            since_s=since_s,
            key=key,
            votes=self._votes_after(before),
        )

    def _votes_after(self, before: Belief | None) -> tuple[tuple[int, float], ...]:
        votes: dict[int, float] = {}
        if before is not None and before.at_s < self.at_s:
            votes = {index: weight * _VOTE_MEMORY for index, weight in before.votes}
        if not self.refuted:
            votes[self.class_index] = votes.get(self.class_index, 0.0) + self.score
        kept = sorted(votes.items(), key=lambda vote: -vote[1])[:_MAX_VOTES]
        return tuple(kept)

    def carried_class(self, edge_class: int, edge_weight: float) -> int:
        """The class on another frame than the one that was judged.

        Heavy models too waver between classes that look alike. What counts is what most verdicts
        have said, and the light model's own judgement beside them.

        Args:
            edge_class: what the light model says.
            edge_weight: how sure it is, 0 to 1.
        """
        if self.refuted or edge_class == self.class_index:
            return edge_class
        votes = dict(self.votes) or {self.class_index: self.score}
        votes[edge_class] = votes.get(edge_class, 0.0) + EDGE_VOTE * edge_weight
        return max(votes, key=lambda index: votes[index])

    def agrees(self, other: Belief) -> bool:
        """Whether both say the same."""
        if self.refuted or other.refuted:
            return self.refuted == other.refuted
        return self.class_index == other.class_index


def holds_for_s(confirmations: int, settings: GateSettings) -> float:
    """How long a verdict holds: longer each time it is confirmed."""
    grown = settings.ttl_s * settings.ttl_growth ** min(confirmations, 32)
    return min(grown, max(settings.ttl_s, settings.ttl_max_s))
