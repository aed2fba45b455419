"""What the cameras of a daemon share."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.edge.control import Controller
from secondlook.edge.daemon.meter import CameraMeter
from secondlook.edge.daemon.share import DetectorShare
from secondlook.edge.decisions import DecisionLog
from secondlook.edge.gate.opening import OpenGate
from secondlook.edge.memory.hub import Memory
from secondlook.edge.sinks.outlet import Outlets
from secondlook.edge.uplink.client import Uplink
from secondlook.edge.uplink.late import LateSender
from secondlook.shared.clock import Clock
from secondlook.shared.trust import TrustMeter


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all cameras of a daemon share.

    Attributes:
        share: the light model.
        uplink: the cloud.
        outlets: the sinks.
        meter: counts for Prometheus.
        clock: stamps answers.
        memory: what outlives a restart.
        controller: the budget.
        late: what is kept on disk while the cloud is away; ``None`` where nothing is.
        decisions: why each frame was or was not sent; ``None`` where that is not logged.
        gate: what the risk of answers is read from; ``None``: verdicts of any model will do.
        trust: counts of what is promised; ``None``: nobody counts.
    """

    share: DetectorShare
    uplink: Uplink
    outlets: Outlets
    meter: CameraMeter
    clock: Clock
    memory: Memory
    controller: Controller
    late: LateSender | None = None
    decisions: DecisionLog | None = None
    gate: OpenGate | None = None
    trust: TrustMeter | None = None
