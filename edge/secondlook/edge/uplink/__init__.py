"""The way to the cloud: bounded, with deadlines, and never in a frame's way."""

from secondlook.edge.uplink.client import Reply, Uplink, UplinkState
from secondlook.edge.uplink.settings import Overflow, UplinkSettings

__all__ = ["Overflow", "Reply", "Uplink", "UplinkSettings", "UplinkState"]
