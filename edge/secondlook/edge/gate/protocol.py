"""What a gate is, and the evidence it decides on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Purpose


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known about one box of a frame.

    Attributes:
        box: float32 (4,), xyxy, pixels of the native frame.
        score: the light model's score; 0 for an object that only the cloud has seen.
        class_name: the light model's class.
        track_id: the track the box belongs to; -1 for none.
        hits: frames in which the track was seen, this one included.
        in_flight: whether a question about the track waits for its verdict.
        verdict_age_s: age of the last verdict about the track; ``None`` without one.
        verdict_left_s: for how long that verdict still holds; negative once it has aged.
        refuted: whether that verdict said that nothing is there.
        verdict_edge_class: the light model's class when that verdict was asked for.
        verdict_edge_score: the light model's score then.
        verdict_area: area of the box then, square pixels.
        prior: share of frames in which that class was published at that place; ``None`` where
            nothing is remembered.
    """

    box: npt.NDArray[np.float32]
    score: float
    class_name: str
    track_id: int = -1
    hits: int = 1
    in_flight: bool = False
    verdict_age_s: float | None = None
    verdict_left_s: float = 0.0
    refuted: bool = False
    verdict_edge_class: str = ""
    verdict_edge_score: float = 0.0
    verdict_area: float = 0.0
    prior: float | None = None

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """What is known about one frame.

    Attributes:
        camera: id of the camera.
        sequence: number of the frame.
        boxes: evidence about each box.
        background_age_s: since when the cloud has a whole frame of this camera; ``None``: it has
            none.
        background_in_flight: whether a whole frame is on its way.
    """

    camera: str
    sequence: int
    boxes: tuple[Evidence, ...]
    background_age_s: float | None
    background_in_flight: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What a gate chose.

    Attributes:
        ask: indices of the boxes to ask about, the unsurest first.
        box_reasons: why, for each of ``ask``.
        whole_frame: whether the whole frame goes instead.
        purpose: why the cloud is asked.
        reasons: for the whole frame, in plain words; also when nothing is asked.
    """

    ask: tuple[int, ...] = ()
    box_reasons: tuple[str, ...] = ()
    whole_frame: bool = False
    purpose: Purpose = Purpose.UNSURE
    reasons: tuple[str, ...] = ()


class Gate(Protocol):
    """Decides about frames. Implementations MUST be pure: equal evidence, equal choice."""

    def choose(self, frame: FrameEvidence) -> Choice:
        """What to ask about a frame."""
        ...
