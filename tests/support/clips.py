"""Small video files made for a test: known pixels, known length, any codec PyAV can write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

ENCODERS = {"h264": "libx264", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}
"""Codec name -> what PyAV calls its encoder. Any container with a fitting suffix takes them."""

_PIXELS = {"h264": "yuv420p", "mpeg4": "yuv420p", "mjpeg": "yuvj420p"}
_QUALITY = {
    "h264": {"preset": "ultrafast", "crf": "18", "tune": "zerolatency"},
    "mpeg4": {"qscale": "2"},
    "mjpeg": {"qscale": "2"},
}


def numbered_image(number: int, width: int = 160, height: int = 96) -> Image:
    """uint8 (height, width, 3): ``number`` in binary as blocks, legible after lossy coding.

    `number_in` reads it back. Sixteen vertical stripes, white for 1, black for 0.
    """
    image = np.full((height, width, 3), 90, np.uint8)
    for bit in range(16):
        left, right = bit * width // 16, (bit + 1) * width // 16
        image[: height // 2, left:right] = 255 if number >> bit & 1 else 0
    # Something that moves, so that encoders have motion to code.
    x = number * 3 % max(1, width - 16)
    cv2.rectangle(image, (x, height * 2 // 3), (x + 15, height - 4), (40, 180, 220), -1)
    return image


def number_in(image: Image) -> int:
    """The number that `numbered_image` drew, after any lossy codec."""
    height, width = image.shape[:2]
    row = image[height // 8 : height // 3].mean(axis=(0, 2))
    bits = (row[(2 * bit + 1) * width // 32] > 127 for bit in range(16))
    return sum(int(on) << bit for bit, on in enumerate(bits))


def numbered(count: int, width: int = 160, height: int = 96) -> Iterator[Image]:
    """``count`` images of `numbered_image`, numbered from 0."""
    return (numbered_image(i, width, height) for i in range(count))


def write_clip(
    path: Path,
    frames: Iterable[Image],
    fps: float = 10.0,
    codec: str = "h264",
    *,
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Encode ``frames`` (BGR uint8, even sides, one size) into ``path`` and return it.

    Args:
        path: its suffix chooses the container (.mp4, .avi, .mkv, .ts).
        frames: the images, in order.
        fps: frames a second.
        codec: a key of `ENCODERS`.
        options: encoder options on top of the usual ones.
        rotation: display rotation written into the container, degrees; 0 writes none.
    """
    stream = None
    with av.open(str(path), "w") as container:
        for image in frames:
            if stream is None:
                stream = container.add_stream(
                    ENCODERS[codec],
                    rate=Fraction(fps).limit_denominator(1001),
                    options={**_QUALITY[codec], **(options or {})},
                )
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = _PIXELS[codec]
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return path


def write_images(folder: Path, frames: Iterable[Image], suffix: str = ".png") -> Path:
    """Write ``frames`` as ``0000.png``, ``0001.png``, ... into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(frames):
        if not cv2.imwrite(str(folder / f"{i:04d}{suffix}"), image):
            raise OSError(f"cannot write {suffix}")
    return folder
