"""What is on record about a frame: the evidence, the terms, the choice, what left, what came back.

A record of a frame holds exactly what the gate was given, so that `Gate.choose` gives the same
choice again. Numbers of candidates are kept as half floats; `logged` rounds the evidence to them
*before* the gate sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.protocol import Choice, FrameEvidence, Terms

MAX_CANDIDATES = 4096
"""More than any tracker gives."""

_LARGEST_AGE_S = 65_504.0
"""The largest half float; nothing depends on whether a verdict is older."""

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in pixels of the native frame."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameRecord:
    """One answered frame.

    Attributes:
        evidence: what the gate was given about the frame; boxes read from a log are in whole
            pixels.
        terms: on what terms; ``bytes_of`` gives ``candidate_bytes`` for the boxes of the evidence.
        candidate_bytes: float64 (n,), estimate of asking about each candidate alone, bytes.
        choice: what it chose.
        regions: what was to be sent, rectangles of the native frame.
        captured_at: wall clock of the capture, seconds since the Unix epoch.
        captured_s: monotonic clock of the capture, seconds.
        time_s: stream time, seconds.
        width, height: size of the native frame, pixels.
    """

    evidence: FrameEvidence
    terms: Terms
    candidate_bytes: npt.NDArray[np.float64]
    choice: Choice
    regions: tuple[Rectangle, ...]
    captured_at: float
    captured_s: float
    time_s: float
    width: int
    height: int

    @property
    def sequence(self) -> int:
        """Number of the frame."""
        return self.evidence.sequence

    @property
    def asked(self) -> bool:
        """Whether the gate wanted to ask anything."""
        return self.choice.whole_frame or bool(self.choice.ask)

    def asks_same(self, choice: Choice) -> bool:
        """Whether another choice asks about the same as its own, for whatever reason."""
        own = self.choice
        return own.whole_frame == choice.whole_frame and set(own.ask) == set(choice.ask)

    def estimate(self, choice: Choice) -> float:
        """What the terms said that a choice would cost, bytes."""
        if choice.whole_frame:
            return self.terms.whole_bytes
        return float(self.candidate_bytes[list(choice.ask)].sum())


@dataclass(frozen=True, slots=True)
class SentRecord:
    """A question that was packed.

    Attributes:
        sequence: the frame it is about.
        request_id: its id.
        purpose: why it was asked.
        carrier: ``"mosaic"``, ``"canvas"`` or ``"canvas key frame"``.
        encoding: codec of the picture.
        quality: of that codec, as it was used in the end; 0 where it is not known.
        size: of the picture, bytes.
        regions: what of the frame it shows, rectangles of the native frame.
        blurred: boxes that were made unrecognisable first.
        at_s: monotonic time, seconds.
    """

    sequence: int
    request_id: str
    purpose: str
    carrier: str
    encoding: str
    quality: int
    size: int
    regions: tuple[Rectangle, ...]
    blurred: int = 0
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WayRecord:
    """How a question went on, or why it never left.

    Attributes:
        sequence: the frame it is about.
        request_id: its id; empty where nothing was packed.
        way: ``"sent"``, ``"disk"``, ``"held"`` (nothing left), ``"lost"`` (no verdict will come),
            ``"measured"`` (an audit's second look: its verdict changes nothing).
        why: in plain words; may be empty.
        wire_bytes: estimate of what it takes on the wire, framing included; 0 where not sent.
    """

    sequence: int
    request_id: str
    way: str
    why: str = ""
    wire_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MissedObject:
    """An object of the heavy model that the answer of an audited frame did not have.

    Attributes:
        name: its class.
        box: xyxy, whole pixels of the native frame.
        candidate: index of the candidate that covers it; -1 for none.
        loss: of that candidate, the number that is held against the threshold; 0 for none.
    """

    name: str
    box: tuple[int, int, int, int]
    candidate: int = -1
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """What a verdict did.

    Attributes:
        sequence: the frame that was asked about; -1 where the question was not known any more.
        request_id: id of the question.
        model: name and version of the heavy model.
        confirmed: tracks that it saw as the edge did.
        refuted: tracks where it saw nothing.
        changed: tracks to which it gave another class, and that class.
        new: class and box (xyxy, whole pixels) of objects that the edge had not seen.
        revised: answers that it changed.
        revision: number of the revision of the frame itself; 0 where that did not change.
        missed: of an audit: objects that the answer did not have; ``None`` where it was no audit.
        at_s: monotonic time, seconds.
        late: whether the frame was no longer kept: nothing could be done with it.
    """

    sequence: int
    request_id: str
    model: str = ""
    confirmed: tuple[int, ...] = ()
    refuted: tuple[int, ...] = ()
    changed: tuple[tuple[int, str], ...] = ()
    new: tuple[tuple[str, tuple[int, int, int, int]], ...] = ()
    revised: int = 0
    revision: int = 0
    missed: tuple[MissedObject, ...] | None = None
    at_s: float = 0.0
    late: bool = False

    @property
    def corrections(self) -> int:
        """Errors of the edge that it put right."""
        return len(self.refuted) + len(self.changed) + len(self.new)


@dataclass(frozen=True, slots=True, eq=False)
class PictureRecord:
    """A picture kept for `explain`.

    Attributes:
        sequence: the frame.
        kind: ``"thumbnail"`` of the frame, or ``"sent"``: what left the site.
        data: encoded picture; a thumbnail that waits to be encoded is an array instead: uint8
            (height, width, 3), BGR.
    """

    sequence: int
    kind: str
    data: bytes | npt.NDArray[np.uint8]


Record = FrameRecord | SentRecord | WayRecord | VerdictRecord | PictureRecord


@dataclass(frozen=True, slots=True)
class LogHeader:
    """What each file of a log begins with.

    Attributes:
        camera: id of the camera.
        names: class names of the light model.
        settings: of gate, regions, budget and what else decides, as plain JSON; a replay makes the
            gate from them.
        model: the light model, name and version.
        gate: what the gate was trained on, or that it is the cold-start rule.
        session: names the process's pipeline; request ids begin with it.
        created_at: wall clock, seconds since the Unix epoch.
        software: version that wrote it.
    """

    camera: str
    names: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    gate: str = ""
    session: str = ""
    created_at: float = 0.0
    software: str = ""


def logged(evidence: FrameEvidence) -> FrameEvidence:
    """The evidence as precise as the log keeps it: half floats, about 3 digits.

    The gate decides on these numbers, so that a replay decides on the very same ones.
    """
    n = len(evidence)
    halves = np.empty((4, n), np.float16)
    halves[0], halves[1], halves[2] = evidence.scores, evidence.right, evidence.loss
    # A NaN, for none, stays one.
    np.minimum(evidence.verdict_age_s, _LARGEST_AGE_S, out=halves[3], casting="same_kind")
    scores, right, loss, age_s = halves.astype(np.float64)
    return replace(evidence, scores=scores, right=right, loss=loss, verdict_age_s=age_s)


def logged_bytes(estimates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Estimates as precise as the log keeps them: single floats."""
    return estimates.astype(np.float32).astype(np.float64)
