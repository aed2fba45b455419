"""Several cameras, one light model, one uplink: what `secondlook edge run` runs."""

from secondlook.edge.daemon.daemon import Daemon, Limits
from secondlook.edge.daemon.status import CameraStatus, Phase

__all__ = ["CameraStatus", "Daemon", "Limits", "Phase"]
