"""The values that travel: a frame becomes an observation, a decision, a verdict, a revision."""

from secondlook.shared.values.canvas import CanvasUpdate
from secondlook.shared.values.decision import Decision, Purpose, Region
from secondlook.shared.values.detections import Detections
from secondlook.shared.values.escalation import Escalation, ImageEncoding, Placement
from secondlook.shared.values.frame import Frame, FrameRef
from secondlook.shared.values.observation import Observation
from secondlook.shared.values.verdict import Verdict, VerdictTimings

__all__ = [
    "CanvasUpdate",
    "Decision",
    "Detections",
    "Escalation",
    "Frame",
    "FrameRef",
    "ImageEncoding",
    "Observation",
    "Placement",
    "Purpose",
    "Region",
    "Verdict",
    "VerdictTimings",
]
