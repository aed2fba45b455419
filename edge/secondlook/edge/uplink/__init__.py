"""The way to the cloud: bounded, with deadlines, and never in a frame's way."""

from secondlook.edge.uplink.breaker import Breaker, BreakerState
from secondlook.edge.uplink.client import Fare, Reply, Uplink, UplinkState
from secondlook.edge.uplink.settings import BreakerSettings, Overflow, UplinkSettings

__all__ = [
    "Breaker",
    "BreakerSettings",
    "BreakerState",
    "Fare",
    "Overflow",
    "Reply",
    "Uplink",
    "UplinkSettings",
    "UplinkState",
]
