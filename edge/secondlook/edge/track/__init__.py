"""Which boxes of successive frames are the same object."""

from secondlook.edge.track.tracker import Track, Tracker

__all__ = ["Track", "Tracker"]
