"""Which rectangles of a frame are sent: padded, on a grid, merged. Pure functions.

Work is done in the *canonical frame*: the frame at the width the heavy model takes, never larger
than the native frame. Pixels the model would throw away are not sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.shared.geometry import Boxes, coverage
from secondlook.shared.values import Region

Rectangle = tuple[int, int, int, int]
"""x1 y1 x2 y2, canonical pixels."""


_HIDDEN = 0.5
"""Share of an asked box that another box covers, from which that one is shown whole."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """The canonical frame of a native one.

    Attributes:
        native_width, native_height: size of the native frame, pixels.
        width, height: size of the canonical frame, pixels.
    """

    native_width: int
    native_height: int
    width: int
    height: int

    @classmethod
    def of(cls, native_width: int, native_height: int, canonical_width_px: int) -> Canonical:
        """The canonical frame; the native frame itself where that is small enough."""
        width = min(native_width, canonical_width_px)
        height = max(1, round(native_height * width / native_width))
        return cls(native_width, native_height, width, height)

    def to_native(self, rectangle: Rectangle) -> Region:
        """The smallest region of the native frame that covers a canonical rectangle."""
        if self.width == self.native_width and self.height == self.native_height:
            left, top, right, bottom = rectangle
            return Region(left, top, right - left, bottom - top)
        across, down = self.native_width / self.width, self.native_height / self.height
        left, top = int(rectangle[0] * across), int(rectangle[1] * down)
        right = min(self.native_width, math.ceil(rectangle[2] * across))
        bottom = min(self.native_height, math.ceil(rectangle[3] * down))
        return Region(left, top, right - left, bottom - top)

    def size_of(self, region: Region) -> tuple[int, int]:
        """Width and height of a native region in the canonical frame."""
        return (
            max(1, round(region.width * self.width / self.native_width)),
            max(1, round(region.height * self.height / self.native_height)),
        )

    def whole(self, reason: str = "") -> Region:
        """The region that is the frame."""
        return Region(0, 0, self.native_width, self.native_height, reason)


def regions_around(
    boxes: Boxes,
    reasons: list[str],
    frame: Canonical,
    settings: RegionSettings,
    others: Boxes | None = None,
) -> tuple[Region, ...]:
    """The regions to send for ``boxes``; the whole frame where they would cover most of it.

    Args:
        boxes: float32 (n, 4), xyxy, pixels of the native frame.
        reasons: why each box is asked about, ``n`` of them.
        frame: the frame and its canonical size.
        settings: padding, grid and limits.
        others: float32 (m, 4), the other boxes of the frame. One that hides half of an asked box
            is shown whole: of an object that is cut off, the heavy model sees an object too.
    """
    rectangles = [
        (_padded(box, frame, settings), [reason])
        for box, reason in zip(_to_canonical(boxes, frame), reasons, strict=True)
    ]
    if others is not None and len(others):
        hidden = coverage(boxes, others) >= _HIDDEN
        wholes = [_padded(box, frame, settings, pad=False) for box in _to_canonical(others, frame)]
        rectangles = [
            (_joined([rectangle, *(wholes[k] for k in np.flatnonzero(by))]), why)
            for (rectangle, why), by in zip(rectangles, hidden, strict=True)
        ]
    merged = _merged(rectangles)
    covered = sum(_area(rectangle) for rectangle, _ in merged)
    if covered >= settings.full_share * frame.width * frame.height:
        return (frame.whole("; ".join(dict.fromkeys(reasons))),)
    regions = []
    for rectangle, why in merged:
        region = frame.to_native(rectangle)
        reason = "; ".join(dict.fromkeys(why))
        regions.append(Region(region.x, region.y, region.width, region.height, reason))
    return tuple(regions)


def each_alone(boxes: Boxes, frame: Canonical, settings: RegionSettings) -> Boxes:
    """What would be sent of each box, were nothing else asked about: float32 (n, 4), native pixels.

    Args:
        boxes: float32 (n, 4), xyxy, pixels of the native frame.
        frame: the frame and its canonical size.
        settings: padding, grid and limits.
    """
    alone = [region.xyxy for region in regions_alone(boxes, frame, settings)]
    return np.array(alone, np.float32).reshape(-1, 4)


def regions_alone(boxes: Boxes, frame: Canonical, settings: RegionSettings) -> list[Region]:
    """The region that `regions_around` gives of each box alone; arguments as for `each_alone`."""
    most = settings.full_share * frame.width * frame.height
    rectangles = [_padded(box, frame, settings) for box in _to_canonical(boxes, frame)]
    return [
        frame.whole() if _area(rectangle) >= most else frame.to_native(rectangle)
        for rectangle in rectangles
    ]


def _to_canonical(boxes: Boxes, frame: Canonical) -> list[list[float]]:
    across, down = frame.width / frame.native_width, frame.height / frame.native_height
    scaled: list[list[float]] = (boxes * np.array([across, down, across, down])).tolist()
    return scaled


def _padded(
    box: list[float], frame: Canonical, settings: RegionSettings, *, pad: bool = True
) -> Rectangle:
    share = settings.pad_share if pad else 0.0
    left, right = _span(box[0], box[2], frame.width, share, settings)
    top, bottom = _span(box[1], box[3], frame.height, share, settings)
    return left, top, right, bottom


def _span(
    start: float, end: float, limit: int, share: float, settings: RegionSettings
) -> tuple[int, int]:
    """One side of a box: padded, at least the least side, on the grid, inside the frame."""
    size, least, grid = end - start, settings.min_side_px, settings.grid_px
    border = (max(size * (1 + 2 * share), least) - size) / 2
    # Comparisons, not `min` and `max`: this runs for both sides of each candidate of a frame.
    low = math.floor((start - border) / grid) * grid
    if low < 0:
        low = 0
    high = math.ceil((end + border) / grid) * grid
    if high > limit:
        high = limit
    # What the frame's border takes away is added at the other end.
    if high < low + least:
        high = min(limit, low + least)
    if low > high - least:
        low = max(0, min(low, math.floor((high - least) / grid) * grid, limit - 1))
    elif low >= limit:
        low = limit - 1
    return low, max(high, low + 1)


def _merged(rectangles: list[tuple[Rectangle, list[str]]]) -> list[tuple[Rectangle, list[str]]]:
    """Join rectangles that overlap until none does."""
    out: list[tuple[Rectangle, list[str]]] = []
    for rectangle, why in rectangles:
        grown, reasons = rectangle, list(why)
        # A join may reach others: start over with the larger rectangle.
        while True:
            touched = [item for item in out if _overlap(grown, item[0])]
            if not touched:
                break
            out = [item for item in out if not _overlap(grown, item[0])]
            grown = _joined([grown, *(other for other, _ in touched)])
            for _, other_reasons in touched:
                reasons += other_reasons
        out.append((grown, reasons))
    return sorted(out, key=lambda item: item[0])


def _joined(rectangles: list[Rectangle]) -> Rectangle:
    """The rectangle that holds them all."""
    return (
        min(rectangle[0] for rectangle in rectangles),
        min(rectangle[1] for rectangle in rectangles),
        max(rectangle[2] for rectangle in rectangles),
        max(rectangle[3] for rectangle in rectangles),
    )


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _area(rectangle: Rectangle) -> int:
    return (rectangle[2] - rectangle[0]) * (rectangle[3] - rectangle[1])
