"""What a policy did with the frames of one camera, and another one beside it, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from secondlook.edge.decisions.records import FrameRecord
from secondlook.edge.gate.protocol import Choice
from secondlook.shared.values import Purpose


@dataclass(slots=True)
class Tally:
    """What a policy did with the frames of one camera.

    Attributes:
        questions: frames about which the cloud was asked: heavy inferences.
        whole: of these, whole frames.
        audits: of these, audits.
        candidates: candidates asked about.
        left: candidates that were to be asked about, had the budget sufficed.
        wire_bytes: bytes on the wire, framing included.
        loss_left: sum of the losses of candidates that were not asked about: expected errors.
        audited: frames whose audit tells what was missed.
        missed: objects that the answers to them missed, and that nothing asked would have shown.
        missed_frames: audited frames with at least one such object.
        corrections: errors that verdicts put right, on frames where this policy asks as well.
    """

    questions: int = 0
    whole: int = 0
    audits: int = 0
    candidates: int = 0
    left: int = 0
    wire_bytes: float = 0.0
    loss_left: float = 0.0
    audited: int = 0
    missed: int = 0
    missed_frames: int = 0
    corrections: int = 0

    def chose(self, frame: FrameRecord, choice: Choice) -> None:
        """Count a choice, its bytes apart."""
        asks = choice.whole_frame or bool(choice.ask)
        self.questions += asks
        self.whole += choice.whole_frame
        self.audits += choice.whole_frame and choice.purpose is Purpose.AUDIT
        self.candidates += len(choice.ask)
        self.left += len(choice.left)
        if not choice.whole_frame:
            open_ = ~frame.evidence.in_flight
            open_[list(choice.ask)] = False
            self.loss_left += float(np.nansum(frame.evidence.loss[open_]))


@dataclass(slots=True)
class Comparison:
    """One camera under its own policy and under another.

    Attributes:
        camera: its id.
        frames: in the log.
        seconds: that they span, by the clock of the edge.
        same: frames about which both ask the same.
        exact: frames about which both say the same to the last word.
        done: what was done.
        sent: questions of ``done`` that really left; the others were held back, or kept on disk.
        other: what the other policy would have done.
        corrections: errors that verdicts of the log put right.
        first_difference: number of the first frame about which they differ; ``None``: they never
            do.
    """

    camera: str
    frames: int = 0
    seconds: float = 0.0
    same: int = 0
    exact: int = 0
    done: Tally = field(default_factory=Tally)
    sent: int = 0
    other: Tally = field(default_factory=Tally)
    corrections: int = 0
    first_difference: int | None = None
