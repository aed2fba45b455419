"""Where answers go. A sink that fails is contained: counted, logged, and the others go on."""

from secondlook.edge.sinks.outlet import Outlet, Outlets
from secondlook.edge.sinks.protocol import Event, Sink
from secondlook.edge.sinks.settings import JsonLinesSettings, SinkSettings, VideoSettings

__all__ = [
    "Event",
    "JsonLinesSettings",
    "Outlet",
    "Outlets",
    "Sink",
    "SinkSettings",
    "VideoSettings",
]
