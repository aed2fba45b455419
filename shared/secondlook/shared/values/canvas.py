"""Updates of a canvas stream: which blocks of the picture both ends hold have changed.

The *canvas* is the frame at the size the heavy model takes, as the far end knows it: each region in
it shows the moment when it was last asked about. Both ends count its blocks of 16 x 16 pixels from
the top-left corner, so a rectangle of blocks is four small numbers on the wire, and both ends find
the same region of the native frame for it: by whole numbers alone, so that no rounding differs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum

from secondlook.shared.errors import InvalidInput
from secondlook.shared.values.decision import Region

BLOCK_PX = 16
"""Side of a block: that of a macroblock, so that no block holds pixels of two moments."""

MAX_CANVAS_PX = 4080
"""Longest side of a canvas: 255 blocks, so that a number of blocks fits in a byte."""

MAX_RECTANGLES = 256

CHECK_BITS = 21
"""Bits of a check: three bytes on the wire."""

Blocks = tuple[int, int, int, int]
"""x, y, width, height of a rectangle, in blocks."""


class VideoCodec(str, Enum):
    """How the units of a canvas are encoded."""

    H264 = "h264"
    AV1 = "av1"


@dataclass(frozen=True, slots=True)
class CanvasUpdate:
    """What an update says besides the bytes of its picture.

    Attributes:
        width, height: size of the canvas, pixels.
        check: `chained` of the unit; what it builds on is right where this is.
        key: whether it needs nothing that was sent before.
        rectangles: what has changed, in blocks; empty for the whole canvas.
        epoch: counts the key frames of its encoder; does not travel.
        codec: of its unit; it changes with a key frame alone.

    Raises:
        InvalidInput: a size or a rectangle is outside its limits.
    """

    width: int
    height: int
    check: int
    key: bool = False
    rectangles: tuple[Blocks, ...] = ()
    epoch: int = 0
    codec: VideoCodec = VideoCodec.H264

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MAX_CANVAS_PX and 1 <= self.height <= MAX_CANVAS_PX):
            raise InvalidInput(
                f"canvas is {self.width}x{self.height}; sides of 1 to {MAX_CANVAS_PX} expected"
            )
        if not 0 <= self.check < 1 << CHECK_BITS:
            raise InvalidInput(f"check is {self.check}; {CHECK_BITS} bits expected")
        if len(self.rectangles) > MAX_RECTANGLES:
            raise InvalidInput(
                f"{len(self.rectangles)} rectangles; at most {MAX_RECTANGLES} are accepted"
            )
        if self.key and self.rectangles:
            raise InvalidInput("a key frame is of the whole canvas; it has rectangles")
        across, down = -(-self.width // BLOCK_PX), -(-self.height // BLOCK_PX)
        for x, y, width, height in self.rectangles:
            if x < 0 or y < 0 or width < 1 or height < 1 or x + width > across or y + height > down:
                raise InvalidInput(
                    f"rectangle {width}x{height}+{x}+{y} leaves the canvas of {across}x{down} "
                    f"blocks"
                )

    def pixels(self) -> tuple[tuple[int, int, int, int], ...]:
        """x, y, width, height of what has changed, pixels of the canvas."""
        if not self.rectangles:
            return ((0, 0, self.width, self.height),)
        return tuple(
            (
                x * BLOCK_PX,
                y * BLOCK_PX,
                min(width * BLOCK_PX, self.width - x * BLOCK_PX),
                min(height * BLOCK_PX, self.height - y * BLOCK_PX),
            )
            for x, y, width, height in self.rectangles
        )


def chained(unit: bytes, before: int) -> int:
    """The check of an update: of its unit, and through ``before`` of all since the key frame.

    Units decoded out of order, doubled, damaged, or on another picture give another check.

    Args:
        unit: its bytes.
        before: the check of the update before; 0 for a key frame.
    """
    return zlib.crc32(unit, before) & ((1 << CHECK_BITS) - 1)


def blocks_of(region: Region, frame: tuple[int, int], canvas: tuple[int, int]) -> Blocks:
    """The smallest rectangle of blocks that shows a region of the native frame.

    Args:
        region: inside the frame.
        frame: width and height of the native frame.
        canvas: width and height of the canvas.
    """
    left, top, right, bottom = region.xyxy
    x, width = _span(left, right, frame[0], canvas[0])
    y, height = _span(top, bottom, frame[1], canvas[1])
    return x, y, width, height


def native_region(
    pixels: tuple[int, int, int, int], frame: tuple[int, int], canvas: tuple[int, int]
) -> Region:
    """The smallest region of the native frame that covers a rectangle of the canvas.

    Args:
        pixels: x, y, width, height on the canvas.
        frame: width and height of the native frame.
        canvas: width and height of the canvas.
    """
    x, y, width, height = pixels
    left, right = x * frame[0] // canvas[0], -(-(x + width) * frame[0] // canvas[0])
    top, bottom = y * frame[1] // canvas[1], -(-(y + height) * frame[1] // canvas[1])
    return Region(left, top, min(right, frame[0]) - left, min(bottom, frame[1]) - top)


def _span(start: int, end: int, native: int, canvas: int) -> tuple[int, int]:
    """First block and number of blocks of one side.

    A region on the grid starts up to one native pixel before its block and ends as much after it,
    where the scale is no whole number: that pixel is not worth another block.
    """
    blocks = -(-canvas // BLOCK_PX)
    first = min((start + 1) * canvas // native // BLOCK_PX, blocks - 1)
    last = -(-max(start + 1, end - 1) * canvas // native)
    return first, min(blocks, max(first + 1, -(-last // BLOCK_PX))) - first
