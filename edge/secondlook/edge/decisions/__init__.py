"""Why each frame was or was not sent: a compact log, for `explain` and for `replay`."""

from secondlook.edge.decisions.log import DecisionLog
from secondlook.edge.decisions.recorder import Recorder
from secondlook.edge.decisions.records import (
    FrameRecord,
    LogHeader,
    MissedObject,
    PictureRecord,
    Record,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.edge.decisions.settings import DecisionSettings, decisions_folder

__all__ = [
    "DecisionLog",
    "DecisionSettings",
    "FrameRecord",
    "LogHeader",
    "MissedObject",
    "PictureRecord",
    "Record",
    "Recorder",
    "SentRecord",
    "VerdictRecord",
    "WayRecord",
    "decisions_folder",
]
