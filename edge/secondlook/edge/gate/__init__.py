"""May the edge's answer stand? Pure functions over evidence, replayable from a log."""

from secondlook.edge.gate.audit import coin
from secondlook.edge.gate.band import ScoreBandGate
from secondlook.edge.gate.protocol import Choice, Evidence, FrameEvidence, Gate

__all__ = ["Choice", "Evidence", "FrameEvidence", "Gate", "ScoreBandGate", "coin"]
