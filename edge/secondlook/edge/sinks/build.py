"""From the settings to sinks."""

from __future__ import annotations

from secondlook.edge.sinks.jsonl import JsonLinesSink
from secondlook.edge.sinks.protocol import Sink
from secondlook.edge.sinks.settings import SinkSettings


def build_sinks(settings: SinkSettings) -> list[Sink]:
    """The sinks that are asked for; nothing is opened yet."""
    sinks: list[Sink] = [JsonLinesSink(one) for one in settings.jsonl]
    if settings.video:
        # PyAV is needed only by those who want videos.
        from secondlook.edge.sinks.video import VideoSink

        sinks += [VideoSink(one) for one in settings.video]
    return sinks
