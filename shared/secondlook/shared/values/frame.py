"""One image of one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

MAX_SIDE_PX = 16384
"""No camera is larger; anything above is a decompression bomb or a broken header."""

MAX_PIXELS = 64_000_000
"""Same, for the product of the sides (64 megapixels)."""


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Which frame: all that is left of it once its pixels are gone.

    Attributes:
        camera: id of the camera, ``site/camera`` or a bare name.
        sequence: number of the frame in its stream, from 0; grows, may skip.
        captured_s: capture time on the monotonic clock of the edge, seconds. For durations.
        captured_at: capture time on the wall clock, seconds since the Unix epoch. For people.
        width: width of the native frame, pixels.
        height: height of the native frame, pixels.
    """

    camera: str
    sequence: int
    captured_s: float
    captured_at: float
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame with its pixels.

    The image is never copied between stages and must not be written to.

    Attributes:
        ref: which frame it is.
        image: uint8 (height, width, 3), BGR.

    Raises:
        InvalidInput: the image is not such an array, or does not have the size of ``ref``.
    """

    ref: FrameRef
    image: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_image(self.image)
        if self.image.shape[:2] != (self.ref.height, self.ref.width):
            height, width = self.image.shape[:2]
            raise InvalidInput(
                f"frame.image is {width}x{height}, its reference says "
                f"{self.ref.width}x{self.ref.height}"
            )

    @classmethod
    def of(
        cls,
        image: npt.NDArray[np.uint8],
        *,
        camera: str,
        sequence: int,
        captured_s: float,
        captured_at: float,
    ) -> Frame:
        """Wrap ``image``, taking width and height from it."""
        check_image(image)
        height, width = image.shape[:2]
        return cls(FrameRef(camera, sequence, captured_s, captured_at, width, height), image)


def check_size(width: int, height: int, what: str = "image") -> None:
    """Refuse a size that no camera has.

    Raises:
        InvalidInput: a side is below 1 or above ``MAX_SIDE_PX``, or the area above ``MAX_PIXELS``.
    """
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise InvalidInput(f"{what} is {width}x{height}; each side must be 1 to {MAX_SIDE_PX}")
    if width * height > MAX_PIXELS:
        raise InvalidInput(f"{what} is {width}x{height}; at most {MAX_PIXELS} pixels are accepted")


def check_image(image: npt.NDArray[np.uint8]) -> None:
    """Refuse what is not a BGR uint8 image of a sane size.

    Raises:
        InvalidInput: wrong rank, channel count, dtype or size.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InvalidInput(
            f"image is {image.dtype} of shape {image.shape}; uint8 (height, width, 3) BGR expected"
        )
    check_size(image.shape[1], image.shape[0])
