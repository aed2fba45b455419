"""The kinds this Secondlook knows, and what follows from an id."""

from __future__ import annotations

from secondlook.shared.memory.kinds.calibration import ScoreCalibration
from secondlook.shared.memory.kinds.cameras import GateState, ModelPin, ScenePrior
from secondlook.shared.memory.kinds.ids import kind_of
from secondlook.shared.memory.kinds.kind import Kind
from secondlook.shared.memory.kinds.mode import SiteMode
from secondlook.shared.memory.kinds.tracks import FalsePositive, TrackVerdict
from secondlook.shared.memory.kinds.trust import TrustWindow
from secondlook.shared.memory.merging import DEFAULT, Rule
from secondlook.shared.memory.record import Document

KINDS: dict[str, type[Kind]] = {
    kind.KIND: kind
    for kind in (
        TrackVerdict,
        FalsePositive,
        GateState,
        ScenePrior,
        ModelPin,
        TrustWindow,
        ScoreCalibration,
        SiteMode,
    )
}


def rule_for(record_id: str) -> Rule:
    """How changes of a record are merged; of unknown kinds, field by field."""
    kind = KINDS.get(kind_of(record_id) or "")
    return DEFAULT if kind is None else kind.RULE


def check_known(record_id: str, data: Document) -> None:
    """Refuse data that no reader of a known kind would take; other kinds may hold anything.

    Raises:
        InvalidInput: names the field, or the schema where that is newer than ours.
    """
    kind = KINDS.get(kind_of(record_id) or "")
    if kind is not None:
        kind.of(data)
