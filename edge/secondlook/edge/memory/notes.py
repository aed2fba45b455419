"""What a pipeline wants remembered, as plain values. Notes about one record become one note."""

from __future__ import annotations

from dataclasses import dataclass, field

from secondlook.shared.errors import MergeConflict
from secondlook.shared.memory.kinds import (
    FalsePositive,
    GateState,
    Kind,
    ScenePrior,
    ScoreCalibration,
    SiteMode,
    TrackVerdict,
    TrustWindow,
)
from secondlook.shared.memory.merging import merge

SELFTEST = "mode"
"""Key of the record of the self-test."""


def size_key(width: int, height: int) -> str:
    """Key of a record about all of a camera's picture; of another size it is another picture."""
    return f"{width}x{height}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to write down.

    Attributes:
        kind: of the record.
        key: of the record, within its camera and kind.
        value: registers as they stand, counters as what is added; ``None`` removes the record.
    """

    kind: type[Kind]
    key: str
    value: Kind | None

    def after(self, earlier: Note) -> Note:
        """This note and an earlier one about the same record in one.

        Where the two cannot be united, this one stands.
        """
        if self.value is None or earlier.value is None:
            return self
        try:
            both = merge({}, earlier.value.document(), self.value.document(), self.kind.RULE)
        except MergeConflict:
            return self
        return Note(self.kind, self.key, self.kind.of(both))


@dataclass(frozen=True, slots=True)
class Recollection:
    """What the memory holds about one camera.

    Attributes:
        verdicts: about objects, by key, the oldest first.
        false_positives: by key, the oldest first.
        gates: states of the gate, by frame size, see `size_key`.
        priors: where which class is seen, by frame size.
        trust: what audits have shown, by key, the oldest first.
        site_trust: the same for the cameras of its site together.
        calibrations: how often a gate was right when it said how likely it is.
        selftest: the way of working that its audits have chosen; ``None``: none yet.
        skipped: records that were damaged, or of a schema that is not known here.
    """

    verdicts: dict[str, TrackVerdict] = field(default_factory=dict)
    false_positives: dict[str, FalsePositive] = field(default_factory=dict)
    gates: dict[str, GateState] = field(default_factory=dict)
    priors: dict[str, ScenePrior] = field(default_factory=dict)
    trust: dict[str, TrustWindow] = field(default_factory=dict)
    site_trust: dict[str, TrustWindow] = field(default_factory=dict)
    skipped: int = 0
    calibrations: dict[str, ScoreCalibration] = field(default_factory=dict)
    selftest: SiteMode | None = None

    def background_at_s(self, size: str) -> float | None:
        """Capture time of the whole frame of that size that the cloud has, seconds of the epoch.

        The cloud keeps one of each camera: the newest, of whatever size.
        """
        known = [
            (state.background_at_s, key)
            for key, state in self.gates.items()
            if state.background_at_s is not None
        ]
        at_s, newest = max(known, default=(0.0, ""))
        return at_s if newest == size else None
