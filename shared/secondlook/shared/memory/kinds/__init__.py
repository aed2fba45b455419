"""What is remembered: typed records with schema versions and the rules by which they merge."""

from secondlook.shared.memory.kinds.calibration import CurvesInUse, ScoreCalibration
from secondlook.shared.memory.kinds.cameras import GateState, ModelPin, ScenePrior
from secondlook.shared.memory.kinds.ids import DEFAULT_SITE, context_id, kind_of
from secondlook.shared.memory.kinds.kind import Kind
from secondlook.shared.memory.kinds.known import KINDS, check_known, rule_for
from secondlook.shared.memory.kinds.mode import SiteMode
from secondlook.shared.memory.kinds.place import Look, Place
from secondlook.shared.memory.kinds.tracks import FalsePositive, TrackVerdict
from secondlook.shared.memory.kinds.trust import TrustWindow

__all__ = [
    "DEFAULT_SITE",
    "KINDS",
    "CurvesInUse",
    "FalsePositive",
    "GateState",
    "Kind",
    "Look",
    "ModelPin",
    "Place",
    "ScenePrior",
    "ScoreCalibration",
    "SiteMode",
    "TrackVerdict",
    "TrustWindow",
    "check_known",
    "context_id",
    "kind_of",
    "rule_for",
]
