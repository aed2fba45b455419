"""How often the gate of a camera was right when it said how likely it is."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.kinds.kind import Count, EpochSeconds, Kind, Name
from secondlook.shared.memory.merging import Counter, Each, Fields, Grid, Largest, Latest, Rule

MAX_BINS = 64
MAX_BUCKETS = 128
"""Most buckets of a record. One writer makes fewer than half, so that two of them fit together."""

_Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=MAX_BINS)]
_Curve = Annotated[
    tuple[Annotated[float, Field(ge=-50, le=50)], ...],
    Field(strict=False, min_length=2, max_length=MAX_BINS),
]
_Trial = Annotated[tuple[Count, Count, Count], Field(strict=False)]


class CurvesInUse(BaseModel):
    """The curves that a gate runs with, so that a restart goes on with the same ones.

    Attributes:
        at_s: when the outcome came after which they were made, seconds since the Unix epoch.
        made_of: how many outcomes there were then.
        curves: by bucket or branch: log odds to which the centre of each bin goes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    at_s: EpochSeconds
    made_of: float = Field(ge=0, le=1e11)
    curves: dict[Name, _Curve] = Field(default_factory=dict, max_length=MAX_BUCKETS)

    @model_validator(mode="after")
    def _rise(self) -> Self:
        for name, values in self.curves.items():
            if any(b < a for a, b in pairwise(values)):
                raise ValueError(f"curves.{name}: must not fall")
        return self


class ScoreCalibration(Kind):
    """What audits have said about the probabilities of one gate. All counters add.

    A bucket is ``branch/size/class``: boxes of one kind. The counts of a bucket are by bins of the
    log odds that the gate gave, each outcome with its weight. Counts of another gate, another heavy
    model or other bins cannot be united: that is a conflict, and they have keys of their own.

    Attributes:
        gate: fingerprint of the risk model.
        model: heavy model and version that judged.
        at_s: when the last outcome came, seconds since the Unix epoch.
        low, high: log odds at which the bins begin and end; beyond them lie the outer bins' boxes.
        seen: weight of the outcomes in each bin, by bucket.
        right: of these, the weight of those where the gate's box was right.
        squares: sum of the squares of the weights, by bucket.
        trial: by branch: the weight of outcomes on which the calibration was tried before it
            learned from them, and the log losses there in thousandths of a nat: of the gate's
            probabilities, and of the calibrated ones.
        used: what is in use; of two, the newer stands.
    """

    KIND: ClassVar[str] = "calibration"
    RULE: ClassVar[Rule] = Fields(
        {
            "schema": Largest(),
            "at_s": Largest(),
            "seen": Each(Grid()),
            "right": Each(Grid()),
            "squares": Each(Counter()),
            "trial": Each(Grid()),
            "used": Latest("at_s"),
        },
        alike=("gate", "model", "low", "high"),
    )

    gate: Name
    model: Annotated[str, Field(max_length=300)]
    at_s: EpochSeconds
    low: float = Field(ge=-20, le=20)
    high: float = Field(ge=-20, le=20)
    seen: dict[Name, _Counts] = Field(default_factory=dict, max_length=MAX_BUCKETS)
    right: dict[Name, _Counts] = Field(default_factory=dict, max_length=MAX_BUCKETS)
    squares: dict[Name, Count] = Field(default_factory=dict, max_length=MAX_BUCKETS)
    trial: dict[Name, _Trial] = Field(default_factory=dict, max_length=MAX_BUCKETS)
    used: CurvesInUse | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.high <= self.low:
            raise ValueError("high lies at or below low")
        if not self.seen.keys() == self.right.keys() == self.squares.keys():
            raise ValueError("seen, right and squares must have the same buckets")
        bins = {len(counts) for counts in (*self.seen.values(), *self.right.values())}
        if len(bins) > 1:
            raise ValueError("buckets have different numbers of bins")
        for bucket, seen in self.seen.items():
            if any(b > a for a, b in zip(seen, self.right[bucket], strict=True)):
                raise ValueError(f"right.{bucket}: more were right than were seen")
        return self
