"""A camera's pipeline and the frames it is shown, decided by a plain rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Detections, Escalation, Observation
from support.edge import NAMES, Seen, frame, seen, textured, verdict
from support.gate import plain_risk, plain_settings

ROOM = textured()


class Street:
    """A pipeline, and the frames it is shown; the first frame's background is settled."""

    def __init__(self, *, background: bool = True, **sections: Any) -> None:
        self.pipeline = CameraPipeline(
            "gate",
            plain_settings(**sections),
            NAMES,
            ManualClock(),
            session="s",
            risk=plain_risk(),
        )
        self.sequence = -1
        if background:
            answer, asked = self.show()
            assert asked is not None
            assert self.pipeline.apply(verdict(asked)) == []
            assert answer.revision == 0

    def show(
        self, *boxes: Seen, image: np.ndarray = ROOM, seconds: float | None = None
    ) -> tuple[Observation, Escalation | None]:
        """The next frame, a tenth of a second later, and what it makes the edge ask."""
        self.sequence += 1
        shown = frame(self.sequence, image)
        answer = self.pipeline.answer(shown, seen(*boxes), 0.0, media_s=seconds)
        return answer, self.pipeline.escalation(shown, answer)


def said(detections: Detections) -> list[tuple[str, float]]:
    """Class names and scores, two digits each."""
    return [
        (name, round(float(score), 2))
        for name, score in zip(detections.class_names(), detections.scores, strict=True)
    ]
