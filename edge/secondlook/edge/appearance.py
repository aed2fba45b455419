"""Does a place look as it did? Small grey pictures of frames, compared. Pure functions."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.pipeline_settings import MotionSettings

Thumbnail = npt.NDArray[np.uint8]
"""uint8 (height, width), grey."""

_LEAST_SIDE_PX = 3
_BORDER = 0.15
"""Border around a box that is compared too, as a share of its sides."""


def thumbnail(image: npt.NDArray[np.uint8], width_px: int) -> Thumbnail:
    """A small grey picture of a frame.

    Args:
        image: uint8 (height, width, 3), BGR.
        width_px: width of the result; the height keeps the shape.
    """
    height, width = image.shape[:2]
    across, down = width_px, max(1, round(height * width_px / width))
    picture = image
    if width > 2 * across:
        # An area filter reads every pixel and takes 20 times longer; averages of four of each
        # block do for a look.
        halfway = cv2.resize(picture, (2 * across, 2 * down), interpolation=cv2.INTER_LINEAR)
        picture = np.asarray(halfway, np.uint8)
    small = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def is_still(before: Thumbnail | None, now: Thumbnail, settings: MotionSettings) -> bool:
    """Whether nothing worth a detection has changed between two frames."""
    if before is None or before.shape != now.shape:
        return False
    changed = np.count_nonzero(cv2.absdiff(before, now) > settings.changed_levels)
    return bool(changed < settings.changed_share * now.size)


def difference(
    before: Thumbnail, now: Thumbnail, box: npt.NDArray[np.float32], frame_width: int
) -> float:
    """How much a place has changed, in grey levels; the light of the whole place does not count.

    Args:
        before: thumbnail of the frame in which the place was known.
        now: thumbnail of another frame; of another size, the place counts as changed.
        box: float32 (4,), xyxy in pixels of the native frame.
        frame_width: width of the native frame, pixels.
    """
    if before.shape != now.shape:
        return 255.0
    place = extent(now.shape, box, frame_width)
    changed = now[place].astype(np.float32)
    changed -= before[place]
    # Sums, not means: this runs for many boxes a frame, and a mean costs five times as much.
    changed -= changed.sum() / changed.size
    return float(np.abs(changed, out=changed).sum() / changed.size)


def extent(
    shape: tuple[int, ...], box: npt.NDArray[np.float32], frame_width: int
) -> tuple[slice, slice]:
    """Rows and columns of a thumbnail that `difference` reads: a box and its border."""
    height, width = shape
    scale = width / frame_width
    border_x, border_y = (box[2] - box[0]) * _BORDER, (box[3] - box[1]) * _BORDER
    left, top = int((box[0] - border_x) * scale), int((box[1] - border_y) * scale)
    right, bottom = int((box[2] + border_x) * scale) + 1, int((box[3] + border_y) * scale) + 1
    left, right = _span(left, right, width)
    top, bottom = _span(top, bottom, height)
    return slice(top, bottom), slice(left, right)


def _span(start: int, end: int, limit: int) -> tuple[int, int]:
    """At least `_LEAST_SIDE_PX` pixels inside 0 to ``limit``."""
    start = min(max(0, start), max(0, limit - _LEAST_SIDE_PX))
    return start, max(min(end, limit), min(limit, start + _LEAST_SIDE_PX))
