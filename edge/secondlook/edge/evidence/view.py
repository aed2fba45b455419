"""Is the picture as a whole dark or blurred? Two cheap measures on the thumbnail.

*Dark*: the mean grey level. 0 from ``dark_level`` on, 1 when it is black.

*Blurred*: the mean absolute Laplacian, against what is usual for this camera (a slow mean over some
minutes). 0 from ``blur_share`` of the usual on, 1 when nothing is left of it. A thumbnail shows
strong blur alone, such as fog, dirt, water on the glass or a lens out of focus; what stays for
long becomes usual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.miss_settings import MissSettings

_USUAL_S = 300.0
"""Time over which the usual sharpness is averaged, seconds."""
_LEAST_FRAMES = 30
"""Fewer frames do not say what is usual."""
_FLAT = 0.5
"""A mean Laplacian below this is a picture of nothing, in which no blur can be told."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """How well the frame can be seen.

    Attributes:
        doubt: 0 for a good picture, up to 1.
        reason: in plain words; empty without doubt.
    """

    doubt: float = 0.0
    reason: str = ""


class View:
    """Of one camera.

    Args:
        settings: levels.
    """

    def __init__(self, settings: MissSettings) -> None:
        self._settings = settings
        self._usual = 0.0
        self._frames = 0
        self._time_s = 0.0

    def see(self, look: Thumbnail, time_s: float) -> Sighted:
        """The next frame; ``time_s``: its stream time, seconds."""
        level = float(cv2.mean(look)[0])
        sharp = cv2.norm(cv2.Laplacian(look, cv2.CV_16S), cv2.NORM_L1) / look.size
        passed_s, self._time_s = max(0.0, time_s - self._time_s), time_s
        known = self._frames >= _LEAST_FRAMES and self._usual >= _FLAT
        share = sharp / self._usual if known else 1.0
        self._frames += 1
        weight = max(1.0 - math.exp(-passed_s / _USUAL_S), 1.0 / self._frames)
        if self._frames > _LEAST_FRAMES:
            weight = 1.0 - math.exp(-min(passed_s, _USUAL_S) / _USUAL_S)
        self._usual += weight * (sharp - self._usual)
        dark = _lack(level, self._settings.dark_level)
        blurred = _lack(share, self._settings.blur_share)
        if max(dark, blurred) <= 0.0:
            return Sighted()
        if dark >= blurred:
            return Sighted(dark, f"the picture is dark: mean grey level {level:.0f}")
        return Sighted(blurred, f"the picture is blurred: {share:.0%} of its usual sharpness")


def _lack(value: float, enough: float) -> float:
    """How much is lacking, 0 to 1."""
    return min(1.0, max(0.0, 1.0 - value / enough)) if enough > 0 else 0.0
