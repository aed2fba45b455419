"""What moves and is not background, on small grey pictures: without a word of what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.shared.geometry import intersection

MAX_BLOBS = 16
"""Most blobs of a frame that are followed, the largest first."""
_NOISE_FACTOR = 3.0
"""A pixel must differ by so many times its usual change: leaves move all the time."""
_MOST_NOISE = 2.0
"""A change counts as noise up to so many times ``blob_levels``."""
_UPHEAVAL = 0.4
"""Share of the picture from which a change is one of light or of the camera, not of objects."""
_SHRINK = 2
_BORDER_PX = 1
"""So far around a box, in pixels of a picture shrunk once more, is it the object's shadow."""

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
        # Half of the sides, a quarter of the work: the smallest blob still has a few pixels.
        size = (max(1, look.shape[1] // _SHRINK), max(1, look.shape[0] // _SHRINK))
        small = cv2.resize(look, size, interpolation=cv2.INTER_AREA)
        picture: _Floats = small.astype(np.float32)
        if self._background is None or self._background.shape != picture.shape:
            self._begin(picture, time_s)
            return []
        change: _Floats = np.asarray(cv2.absdiff(picture, self._background), np.float32)
        limit = self._noise * _NOISE_FACTOR + np.float32(self._settings.blob_levels)
        mask = (change > limit).view(np.uint8)
        if cv2.countNonZero(mask) > _UPHEAVAL * mask.size:
            self._begin(picture, time_s)
            return []
        self._learn(picture, change, time_s)
        height, width = mask.shape
        rows = np.rint(covered / _SHRINK).astype(np.int32)
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
        """Take in a picture; ``change`` from the background is used up."""
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
        cv2.accumulateWeighted(np.minimum(change, most, out=change), self._noise, weight)

    def _places(self, mask: npt.NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
        least = max(3.0, self._settings.blob_area * mask.size)
        if cv2.countNonZero(mask) < least:
            return []
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSE)
        _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
        found = stats[1:]
        found = found[found[:, cv2.CC_STAT_AREA] >= least]
        order = np.argsort(-found[:, cv2.CC_STAT_AREA], kind="stable")[:MAX_BLOBS]
        corners = _SHRINK * found[order]
        return [(x, y, x + w, y + h) for x, y, w, h, _ in corners.tolist()]

    def _followed(self, places: list[tuple[int, int, int, int]]) -> list[Blob]:
        """Each place with the blob of the last frame that it continues."""
        if not places:
            return []
        shared = _shared(places, [blob.box for blob in self._last])
        out = []
        for row, box in enumerate(places):
            best = int(shared[row].argmax()) if self._last else 0
            if not self._last or shared[row, best] <= 0:
                out.append(Blob(self._next, box, 1))
                self._next += 1
                continue
            shared[:, best] = 0
            before = self._last[best]
            out.append(Blob(before.number, box, before.frames + 1))
        return out


def _shared(
    places: list[tuple[int, int, int, int]], before: list[tuple[int, int, int, int]]
) -> _Floats:
    """float32 (n, m), square pixels that boxes share once the second ones have grown by half."""
    if not before:
        return np.zeros((len(places), 0), np.float32)
    grown = np.array(before, np.float32)
    half = (grown[:, 2:] - grown[:, :2]) / 2
    grown[:, :2] -= half
    grown[:, 2:] += half
    return intersection(np.array(places, np.float32), grown)
