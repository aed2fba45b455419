"""Where in its stream a capture is: to number frames, and to go on after a restart."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.edge.capture.events import Looped
from secondlook.edge.capture.header import FrameHeader


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a new capture process begins.

    Attributes:
        skip: frames of the recording to pass over.
        sequence: number of the first frame behind those.
        media_offset_s: media time of the beginning of the stream, or of this pass of a loop.
    """

    skip: int
    sequence: int
    media_offset_s: float


class Position:
    """What has been delivered so far.

    Attributes:
        sequence: number of the next frame.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self._pass_sequence = 0
        self._pass_media_s = 0.0
        self._media_s = 0.0
        self._arrived_s = 0.0

    def arrived(self, header: FrameHeader, now_s: float) -> None:
        """A frame came at ``now_s`` of the monotonic clock."""
        self.sequence = header.sequence + 1
        self._media_s = header.media_s
        self._arrived_s = now_s

    def looped(self, event: Looped) -> None:
        """The recording starts again."""
        self.sequence = self._pass_sequence = event.sequence
        self._media_s = self._pass_media_s = event.media_s

    def resume(self, live: bool, now_s: float) -> Resume:
        """How to go on: a live stream begins anew, later; a recording behind what was delivered."""
        if not live:
            return Resume(self.sequence - self._pass_sequence, self.sequence, self._pass_media_s)
        passed_s = now_s - self._arrived_s if self.sequence else 0.0
        return Resume(0, self.sequence, self._media_s + passed_s)
