"""What the audits of a window have shown, and what is promised because of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.kinds.kind import Count, EpochSeconds, Kind, Name, Score
from secondlook.shared.memory.merging import Latest, Rule

MAX_THRESHOLDS = 64
MAX_CAMERAS = 256
"""Most cameras that one site certifies together."""
MAX_REASONS = 8

TrustStateName = Literal[
    "learning", "certified", "uncertified", "alarm", "recertifying", "slo-infeasible"
]
_Open = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
_Reason = Annotated[str, Field(max_length=500)]
_Counts = Annotated[tuple[Count, ...], Field(strict=False, max_length=MAX_THRESHOLDS)]


class TrustWindow(Kind):
    """Counts of one window of a camera, or of the cameras of a site together.

    Counts are those of the whole window as it stands, not what was added: of two the newer one
    stands, as a whole. Key: when the window began, so that keys are in order.

    Attributes:
        started_s: when the window began, seconds since the Unix epoch.
        at_s: when this was written.
        ended_s: when the window ended; ``None`` while it is open.
        alpha: promised share of frames that miss an object of the heavy model.
        delta: allowed probability of a wrong certificate.
        audit_rate: probability of an audit, the same for all frames that a coin could choose;
            ``None`` where it changed, and then the counts cannot be pooled.
        gate: fingerprint of the gate file.
        model: name of the heavy model.
        model_version: its version; may be empty.
        thresholds: tested thresholds, ascending from 0.
        frames: frames of the window.
        known: of these, frames that were looked at in any case.
        audits: frames that a coin chose and whose outcome is in.
        misses: of these, missed at each threshold.
        known_misses: of the known frames, missed at each threshold.
        lost: audits whose outcome never came.
        awaited: audits whose outcome was under way; of an open window alone.
        spoilt: why the window certifies nothing, whatever its counts; empty where it may.
        certified_tau: highest certified threshold; 0 where only sending everything is;
            ``None`` while nothing has been judged.
        bound: upper bound of the share of lost frames at ``certified_tau``.
        state: how the camera, or the site, stood when this was written.
        reasons: why, in plain words.
        tau: threshold in force.
        alarms: alarms of the camera so far.
        cameras: of a site: the cameras whose windows were pooled.
    """

    KIND: ClassVar[str] = "trust"
    SCHEMA: ClassVar[int] = 2
    RULE: ClassVar[Rule] = Latest("at_s")

    started_s: EpochSeconds
    at_s: EpochSeconds
    ended_s: EpochSeconds | None = None
    alpha: _Open
    delta: _Open
    audit_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    gate: Name
    model: Name
    model_version: str = Field(max_length=128)
    thresholds: Annotated[
        tuple[Score, ...], Field(strict=False, min_length=2, max_length=MAX_THRESHOLDS)
    ]
    frames: Count = 0
    known: Count = 0
    audits: Count = 0
    misses: _Counts
    known_misses: _Counts
    lost: Count = 0
    awaited: Count = 0
    spoilt: str = Field("", max_length=500)
    certified_tau: Score | None = None
    bound: Score | None = None
    state: TrustStateName = "learning"
    reasons: Annotated[tuple[_Reason, ...], Field(strict=False, max_length=MAX_REASONS)] = ()
    tau: Score = 0.0
    alarms: Count = 0
    cameras: Annotated[tuple[Name, ...], Field(strict=False, max_length=MAX_CAMERAS)] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.thresholds[0] != 0 or any(a >= b for a, b in pairwise(self.thresholds)):
            raise ValueError("thresholds must begin with 0 and ascend")
        if self.known + self.audits > self.frames:
            raise ValueError(f"{self.known} known frames and {self.audits} audits of {self.frames}")
        for name, counts, most in (
            ("misses", self.misses, self.audits),
            ("known_misses", self.known_misses, self.known),
        ):
            if len(counts) != len(self.thresholds):
                raise ValueError(f"{name}: {len(self.thresholds)} counts expected")
            if counts[-1] > most or any(a > b for a, b in pairwise(counts)):
                raise ValueError(f"{name}: must not fall, and end at {most} or below")
        if self.ended_s is not None and self.ended_s < self.started_s:
            raise ValueError("ended_s lies before started_s")
        return self
