"""Which way of working the self-test of a site has chosen for a camera, and why."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.kinds.kind import Count, EpochSeconds, Kind
from secondlook.shared.memory.merging import Latest, Rule

MAX_REASONS = 8

ModeName = Literal["edge", "mosaic", "canvas", "full"]
_Rate = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Sum = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
_Reason = Annotated[str, Field(max_length=500)]


class Tally(BaseModel):
    """Numbers from 0 to 1, summed up.

    Attributes:
        count: how many.
        total: their sum.
        squares: the sum of their squares.
    """

    model_config = Kind.model_config

    count: Count = 0
    total: _Sum = 0.0
    squares: _Sum = 0.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        # Sums of rounded numbers may be off by a little.
        slack = 1e-6 * (1 + self.count)
        if not self.squares <= self.total + slack <= self.count + 2 * slack:
            raise ValueError("squares, total and count do not fit together")
        return self


class Pair(BaseModel):
    """Two answers to the same audits.

    Attributes:
        gained: where the one was better than the other, by how much; 0 elsewhere.
        lost: where it was worse, by how much; 0 elsewhere.
    """

    model_config = Kind.model_config

    gained: Tally = Field(default_factory=Tally)
    lost: Tally = Field(default_factory=Tally)


class SiteMode(Kind):
    """What stands for one camera. Of two the newer one stands, as a whole. Key: ``mode``.

    Attributes:
        at_s: when this was written, seconds since the Unix epoch.
        mode: the way in force.
        settled: whether audits have proved it good enough; else they are still gathered.
        reasons: why, in plain words.
        since_s: when it was chosen.
        changes: how often the mode has changed.
        looks: how often it has been decided about since the audits were begun anew.
        edge: agreement of the edge alone with the heavy model, over audits.
        gated: agreement of what stood with the gate at work.
        gained: where the gate was better than the edge alone, by how much; 0 elsewhere.
        lost: where it was worse, by how much; 0 elsewhere.
        full: agreement of the heavy model on frames of a full stream with itself on stills of good
            quality, over audits that were looked at twice.
        full_edge: the same frames, against the edge alone.
        full_gate: the same frames, against what stood with the gate at work.
        bytes_per_s: what each mode sends, audits apart, as far as it is known.
    """

    KIND: ClassVar[str] = "selftest"
    SCHEMA: ClassVar[int] = 2
    RULE: ClassVar[Rule] = Latest("at_s")

    at_s: EpochSeconds
    mode: ModeName
    settled: bool = False
    reasons: Annotated[tuple[_Reason, ...], Field(strict=False, max_length=MAX_REASONS)] = ()
    since_s: EpochSeconds = 0.0
    changes: Count = 0
    looks: Count = 0
    edge: Tally = Field(default_factory=Tally)
    gated: Tally = Field(default_factory=Tally)
    gained: Tally = Field(default_factory=Tally)
    lost: Tally = Field(default_factory=Tally)
    full: Tally = Field(default_factory=Tally)
    full_edge: Pair = Field(default_factory=Pair)
    full_gate: Pair = Field(default_factory=Pair)
    bytes_per_s: dict[ModeName, _Rate] = Field(default_factory=dict)
