"""What a gate is, and the evidence it decides on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from secondlook.edge.control.allowance import Allowance
from secondlook.shared.geometry import Boxes
from secondlook.shared.values import Purpose

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameEvidence:
    """What is known about one frame and each of its candidates before anything is asked.

    A candidate is a box of the light model, an object that only the cloud has seen, or a place
    where an object may have been missed.

    Attributes:
        camera: id of the camera.
        sequence: number of the frame.
        boxes: float32 (n, 4), xyxy, pixels of the native frame.
        names: n class names, as the edge would publish them; empty for a place.
        track_ids: int64 (n,); -1 for a place.
        scores: float64 (n,), the light model's; 0 where it sees nothing.
        right: float64 (n,), probability that the heavy model says the same.
        loss: float64 (n,), expected errors that a verdict would save, 0 to 1; 0 for classes that
            are of no interest.
        verdict_age_s: float64 (n,), age of the last verdict; NaN without one.
        in_flight: bool (n,), whether a question about it waits for its verdict.
        reasons: for places, what speaks for an object there; empty for boxes.
        background_age_s: since when the cloud has a whole frame of this camera; ``None``: it has
            none.
        background_in_flight: whether a whole frame is on its way.
        questions: questions of this camera that are under way.
    """

    camera: str
    sequence: int
    boxes: Boxes
    names: tuple[str, ...]
    track_ids: npt.NDArray[np.int64]
    scores: Floats
    right: Floats
    loss: Floats
    verdict_age_s: Floats
    in_flight: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    background_age_s: float | None
    background_in_flight: bool
    questions: int = 0

    def __len__(self) -> int:
        return len(self.names)


Way = Literal["gate", "edge", "full"]
"""Who decides what is asked: the gate, nobody, or everything is."""

BytesOf = Callable[[Boxes], Floats]
"""Estimates what it costs to ask about each of some boxes, bytes on the wire."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """On what terms a gate decides about a frame: what may change from frame to frame.

    Attributes:
        allowance: what may be spent, and what spending costs.
        certified_loss: candidates of this loss or more are asked about at any price; infinite
            where no certificate demands anything; 0: whole frames go, as far as the budget allows.
        audit_rate: probability of an audit, 0 to 1.
        coin: what was thrown for this frame, in [0, 1): below ``audit_rate`` it is an audit.
        bytes_of: estimates the bytes of asking about boxes.
        whole_bytes: estimate for the whole frame, bytes.
        way: what the self-test of the site says: the gate decides, the edge's answers stand, or
            whole frames go as far as the budget allows.
    """

    allowance: Allowance = field(default_factory=Allowance.unlimited)
    certified_loss: float = float("inf")
    audit_rate: float = 0.0
    bytes_of: BytesOf = lambda boxes: np.zeros(len(boxes))
    whole_bytes: float = 0.0
    coin: float = 1.0
    way: Way = "gate"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a gate chose.

    Attributes:
        ask: indices of the candidates to ask about, the largest loss first.
        box_reasons: why, for each of ``ask``.
        whole_frame: whether the whole frame goes instead.
        purpose: why the cloud is asked.
        reasons: for the whole frame, in plain words; also when nothing is asked.
        coin: the number that was thrown, in [0, 1).
        left: indices that would have been asked about, had the budget sufficed.
        known: whether the whole frame goes whatever the coin says: then it is no sample. Follows
            from the rest, and is not logged.
    """

    ask: tuple[int, ...] = ()
    box_reasons: tuple[str, ...] = ()
    whole_frame: bool = False
    purpose: Purpose = Purpose.UNSURE
    reasons: tuple[str, ...] = ()
    coin: float = 1.0
    left: tuple[int, ...] = ()
    known: bool = field(default=False, compare=False)


class Gate(Protocol):
    """Decides about frames. Implementations MUST be pure: equal input, equal choice."""

    def choose(self, frame: FrameEvidence, terms: Terms) -> Choice:
        """What to ask about a frame."""
        ...
