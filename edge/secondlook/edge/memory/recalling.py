"""From records to beliefs: what a camera knew before its process started. Nearly pure."""

from __future__ import annotations

import numpy as np

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.vocabulary import Vocabulary
from secondlook.edge.memory.looks import pasted
from secondlook.shared.memory.kinds import FalsePositive, TrackVerdict
from secondlook.shared.values import FrameRef

_AHEAD_S = 5.0
"""A record may seem to be this much younger than now: clocks are set. More is not believed."""


class Recall:
    """Turns records into beliefs at the first frame.

    Args:
        frame: that frame; its two clocks tie the records' wall clock to stream time.
        look: its thumbnail.
        time_s: its stream time.
        vocabulary: names of the classes.
    """

    def __init__(
        self, frame: FrameRef, look: Thumbnail, time_s: float, vocabulary: Vocabulary
    ) -> None:
        self._frame = frame
        self._look = look
        self._time_s = time_s
        self._vocabulary = vocabulary

    def age_s(self, at_s: float) -> float | None:
        """How long ago a wall clock time was, seconds; ``None`` where it lies in the future."""
        age_s = self._frame.captured_at - at_s
        return None if age_s < -_AHEAD_S else max(0.0, age_s)

    def belief(self, key: str, said: TrackVerdict | FalsePositive) -> Belief | None:
        """What a record says; ``None`` where it fits no frame of now."""
        if (said.frame_width, said.frame_height) != (self._frame.width, self._frame.height):
            return None
        age_s = self.age_s(said.at_s)
        box = np.array(said.box, np.float32)
        look = pasted(said.look, self._look, box, self._frame.width)
        edge = -1 if said.edge_class is None else self._vocabulary.index(said.edge_class)
        if age_s is None or look is None or edge is None:
            return None
        verdict = said if isinstance(said, TrackVerdict) else None
        class_index = self._vocabulary.index(verdict.class_name) if verdict else edge
        if class_index is None or class_index < 0:
            return None
        at_s = self._time_s - age_s
        return Belief(
            at_s=at_s,
            until_s=at_s + (said.until_s - said.at_s),
            refuted=verdict is None or verdict.refuted,
            class_index=class_index,
            score=0.0 if verdict is None else verdict.score,
            box=box,
            look=look,
            edge_class=edge,
            edge_score=said.edge_score,
            # The first of the verdicts that refuted it confirmed nothing.
            confirmations=max(0, said.seen - 1)
            if isinstance(said, FalsePositive)
            else said.confirmations,
            request_id="",
            correction=np.array(verdict.correction if verdict else (0, 0, 0, 0), np.float32),
            captured_at=said.at_s,
            model=said.model,
            version=said.model_version,
            key=key,
            since_s=at_s,
            lasting=isinstance(said, FalsePositive),
        )
