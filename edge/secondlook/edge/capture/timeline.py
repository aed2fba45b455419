"""Media time: from what a stream claims about its frames to seconds that never go back."""

from __future__ import annotations

import math

DEFAULT_FPS = 25.0
"""Where neither the header nor the settings say."""

_RESET_S = 1.0
"""Timestamps that step back further than this were restarted, not just out of order."""

_GAP_S = 60.0
"""Timestamps that jump ahead further than this are broken; no camera pauses so long in a file."""


def plausible_fps(fps: float | None) -> float:
    """``fps`` where a camera could have it, else 0.0."""
    return fps if fps is not None and math.isfinite(fps) and 0.01 <= fps <= 1000.0 else 0.0


class Timeline:
    """Turns timestamps into media time: starts at 0, never goes back, never jumps absurdly.

    A missing timestamp advances by a frame's period. One that is a little early (out of order)
    repeats the last time. One that restarts or jumps ahead is taken as the next frame.

    Args:
        fps: frames a second, for the period; 0.0 where unknown.
        trust: whether the timestamps count at all; otherwise frames are spaced evenly.
    """

    def __init__(self, fps: float, *, trust: bool = True) -> None:
        self._period_s = 1.0 / (fps or DEFAULT_FPS)
        self._trust = trust
        self._media_s: float | None = None
        self._offset_s: float | None = None

    def next(self, stamp_s: float | None) -> float:
        """Media time of the next frame, whose timestamp in the stream is ``stamp_s``."""
        if not self._trust or (stamp_s is not None and not math.isfinite(stamp_s)):
            stamp_s = None
        last = self._media_s
        following = 0.0 if last is None else last + self._period_s
        media_s = following
        if stamp_s is not None and self._offset_s is None:
            # The first timestamp there is: RTP streams may begin without.
            self._offset_s = stamp_s - following
        elif stamp_s is not None and self._offset_s is not None:
            media_s = stamp_s - self._offset_s
            if media_s < following - _RESET_S or media_s > following + _GAP_S:
                media_s = following
                self._offset_s = stamp_s - following
        self._media_s = media_s if last is None else max(media_s, last)
        return self._media_s


class Sampler:
    """Chooses the frames that are analysed: the first one in each period of the analysis rate.

    Args:
        analysis_fps: frames a second of media time; 0.0 takes every frame.
    """

    def __init__(self, analysis_fps: float) -> None:
        self._fps = analysis_fps
        self._period = -1

    def take(self, media_s: float) -> bool:
        """Whether the frame at ``media_s`` is one of them. Must see every frame, in order."""
        if not self._fps:
            return True
        # The nudge keeps a frame that lies on the boundary, but for rounding, on its far side.
        period = math.floor(media_s * self._fps + 1e-6)
        if period <= self._period:
            return False
        self._period = period
        return True
