"""What moves and is not background, on small grey pictures: without a word of what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.miss_settings import MissSettings

MAX_BLOBS = 32
"""Most blobs of a frame that are followed, the largest first."""
_NOISE_FACTOR = 3.0
"""A pixel must differ by so many times its usual change: leaves move all the time."""
_MOST_NOISE = 2.0
"""A change counts as noise up to so many times ``blob_levels``."""
_UPHEAVAL = 0.4
"""Share of the picture from which a change is one of light or of the camera, not of objects."""
_BORDER_PX = 2
"""So far around a box, in pixels of the small picture, is it the object's shadow."""

_Floats = npt.NDArray[np.float32]
_CLOSE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that moves.

    Attributes:
        number: the same from frame to frame, never used again.
        box: x1 y1 x2 y2, pixels of the small picture.
        frames: in how many frames in a row it has been seen.
    """

    number: int
    box: tuple[int, int, int, int]
    frames: int


class Blobs:
    """Background subtraction on the thumbnails of one camera.

    The background is the running mean of each pixel. A pixel is foreground where it differs from it
    by more than ``blob_levels`` and three times what it usually differs by. Where nearly half of
    the picture is foreground the light or the camera has changed: everything begins again.

    Args:
        settings: sizes and times.
    """

    def __init__(self, settings: MissSettings) -> None:
        self._settings = settings
        self._background: _Floats | None = None
        self._noise: _Floats = np.empty((0, 0), np.float32)
        self._frames = 0
        self._time_s = 0.0
        self._last: list[Blob] = []
        self._next = 1

    def see(self, look: Thumbnail, covered: _Floats, time_s: float) -> list[Blob]:
        """The blobs of the next frame that no box covers, the largest first.

        Args:
            look: the frame.
            covered: float32 (n, 4), boxes in pixels of ``look``.
            time_s: its stream time, seconds.
        """
        picture: _Floats = look.astype(np.float32)
        if self._background is None or self._background.shape != picture.shape:
            self._begin(picture, time_s)
            return []
        change = cv2.absdiff(picture, self._background)
        limit = self._noise * _NOISE_FACTOR + np.float32(self._settings.blob_levels)
        mask = (change > limit).astype(np.uint8)
        if cv2.countNonZero(mask) > _UPHEAVAL * mask.size:
            self._begin(picture, time_s)
            return []
        self._learn(picture, np.asarray(change, np.float32), time_s)
        height, width = mask.shape
        rows = np.rint(covered).astype(np.int32)
        for x1, y1, x2, y2 in rows.tolist():
            left, top = max(0, x1 - _BORDER_PX), max(0, y1 - _BORDER_PX)
            mask[top : min(height, y2 + _BORDER_PX + 1), left : min(width, x2 + _BORDER_PX + 1)] = 0
        self._last = self._followed(self._places(mask))
        return self._last

    def _begin(self, picture: _Floats, time_s: float) -> None:
        self._background = picture.copy()
        self._noise = np.zeros_like(picture)
        self._frames, self._time_s, self._last = 1, time_s, []

    def _learn(self, picture: _Floats, change: _Floats, time_s: float) -> None:
        passed_s = max(0.0, time_s - self._time_s)
        self._time_s = time_s
        # The first frames are averaged, so that what moved in the first one is soon forgotten.
        self._frames += 1
        slow = 1.0 - math.exp(-passed_s / self._settings.background_s)
        weight = max(slow, 1.0 / self._frames if self._frames <= 20 else 0.0)
        assert self._background is not None
        cv2.accumulateWeighted(picture, self._background, weight)
        # An object that stands there is no noise: one that moves to and fro for long is.
        most = np.float32(_MOST_NOISE * self._settings.blob_levels)
        cv2.accumulateWeighted(np.minimum(change, most), self._noise, weight)

    def _places(self, mask: npt.NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
        least = max(3.0, self._settings.blob_area * mask.size)
        if cv2.countNonZero(mask) < least:
            return []
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSE)
        _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
        found = stats[1:]
        found = found[found[:, cv2.CC_STAT_AREA] >= least]
        order = np.argsort(-found[:, cv2.CC_STAT_AREA], kind="stable")[:MAX_BLOBS]
        return [(x, y, x + w, y + h) for x, y, w, h, _ in found[order].tolist()]

    def _followed(self, places: list[tuple[int, int, int, int]]) -> list[Blob]:
        """Each place with the blob of the last frame that it continues."""
        free = list(self._last)
        out = []
        for box in places:
            before = max(free, key=lambda blob: _shared(box, blob.box), default=None)
            if before is None or _shared(box, before.box) <= 0:
                out.append(Blob(self._next, box, 1))
                self._next += 1
                continue
            free.remove(before)
            out.append(Blob(before.number, box, before.frames + 1))
        return out


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Square pixels that two boxes share once the second is grown by half of its sides."""
    grow_x, grow_y = (b[2] - b[0]) / 2, (b[3] - b[1]) / 2
    across = min(a[2], b[2] + grow_x) - max(a[0], b[0] - grow_x)
    down = min(a[3], b[3] + grow_y) - max(a[1], b[1] - grow_y)
    return max(0.0, across) * max(0.0, down)
