"""What is known about a camera as a whole: its gate, its scene, its models."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.kinds.kind import Count, EpochSeconds, Kind, Name
from secondlook.shared.memory.merging import (
    Counter,
    Each,
    Fields,
    Grid,
    Largest,
    Latest,
    Rule,
)

MAX_SIDE = 64
"""Most columns, and most rows, of a scene's grid."""
MAX_CELLS = 4096
"""Most counters of a scene, over all classes: as many as a record has room for."""

_SCHEMA = {"schema": Largest()}


class GateState(Kind):
    """What the gate of a camera has done so far. Counters add, the newer background stands.

    Attributes:
        background_at_s: capture time of the last full picture that the cloud was given, seconds
            since the Unix epoch.
        asked: escalations sent.
        answered: verdicts received.
        audits: audits answered.
        missed: audits that found an object that the answer had missed.
    """

    KIND: ClassVar[str] = "gate"
    RULE: ClassVar[Rule] = Fields(
        {
            **_SCHEMA,
            "background_at_s": Largest(),
            "asked": Counter(),
            "answered": Counter(),
            "audits": Counter(),
            "missed": Counter(),
        }
    )

    background_at_s: EpochSeconds | None = None
    asked: Count = 0
    answered: Count = 0
    audits: Count = 0
    missed: Count = 0


class ScenePrior(Kind):
    """Where in the picture which class has been seen, how often. All counters add.

    Grids of another shape cannot be united: that is a conflict.

    Attributes:
        columns: cells from left to right.
        rows: cells from top to bottom.
        frames: how many frames were counted.
        counts: for each class, ``rows`` times ``columns`` counters, row by row from the top.
    """

    KIND: ClassVar[str] = "scene"
    RULE: ClassVar[Rule] = Fields(
        {**_SCHEMA, "frames": Counter(), "counts": Each(Grid())}, alike=("columns", "rows")
    )

    columns: int = Field(ge=1, le=MAX_SIDE)
    rows: int = Field(ge=1, le=MAX_SIDE)
    frames: Count = 0
    counts: dict[Name, Annotated[tuple[Count, ...], Field(strict=False)]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cells = self.columns * self.rows
        if cells * max(1, len(self.counts)) > MAX_CELLS:
            raise ValueError(
                f"{len(self.counts)} classes of {cells} cells; at most {MAX_CELLS} cells in all"
            )
        for name, grid in self.counts.items():
            if len(grid) != cells:
                raise ValueError(
                    f"counts.{name} has {len(grid)} cells; {self.columns} x {self.rows} expected"
                )
        return self


class ModelPin(Kind):
    """Which release of a model a camera is held at. Of two, the newer stands, as a whole.

    Attributes:
        model: name of the model.
        version: the release.
        at_s: when it was pinned, seconds since the Unix epoch.
        by: who pinned it.
    """

    KIND: ClassVar[str] = "model"
    RULE: ClassVar[Rule] = Latest("at_s")

    model: Name
    version: Name
    at_s: EpochSeconds
    by: Name
