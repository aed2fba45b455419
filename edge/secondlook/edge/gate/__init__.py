"""May the edge's answer stand? Pure functions over evidence, replayable from a log."""

from secondlook.edge.gate.policy import RiskGate
from secondlook.edge.gate.protocol import Choice, FrameEvidence, Gate, Terms
from secondlook.edge.gate.risk import Risk, RiskModel, cold_start

__all__ = [
    "Choice",
    "FrameEvidence",
    "Gate",
    "Risk",
    "RiskGate",
    "RiskModel",
    "Terms",
    "cold_start",
]
