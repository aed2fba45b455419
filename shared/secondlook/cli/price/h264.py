"""H.264 as a live camera would send it: one access unit in, one picture out, no delay."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from secondlook.shared.errors import InvalidInput, MissingDependency

Image = npt.NDArray[np.uint8]


class H264Encoder:
    """x264, preset veryfast, tune zerolatency: no B-frames, no look-ahead, one packet a frame.

    Key frames come as x264 places them (at most 250 frames apart). Odd sides are extended by a
    repeated row or column.

    Args:
        width, height: size of the pictures, pixels.
        fps: frames a second, for the rate control's idea of time.
        crf: constant rate factor, 0 (lossless) to 51.

    Raises:
        MissingDependency: this build of FFmpeg has no libx264.
    """

    def __init__(self, width: int, height: int, fps: float, crf: int) -> None:
        self._pad = (height % 2, width % 2)
        try:
            codec: Any = av.CodecContext.create("libx264", "w")
        except (FFmpegError, ValueError) as error:
            raise MissingDependency("an FFmpeg with libx264", "edge") from error
        rate = Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(25)
        codec.width, codec.height = width + self._pad[1], height + self._pad[0]
        codec.pix_fmt = "yuv420p"
        codec.framerate, codec.time_base = rate, 1 / rate
        codec.thread_count = 1
        codec.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf)}
        self._codec = codec
        self._count = 0

    def encode(self, image: Image) -> bytes:
        """The access unit of the next picture (uint8 (height, width, 3) BGR)."""
        if any(self._pad):
            image = np.asarray(
                cv2.copyMakeBorder(image, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE),
                np.uint8,
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        picture.pts = self._count
        self._count += 1
        return b"".join(bytes(packet) for packet in self._codec.encode(picture))


class H264Decoder:
    """Decodes access units in order, each to its picture at once."""

    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("h264", "r")
        codec.thread_count = 1
        codec.flags |= int(av.codec.context.Flags.low_delay)
        self._codec = codec

    def decode(self, unit: bytes, width: int, height: int) -> Image:
        """The picture of an access unit, cut to ``width`` x ``height``.

        Raises:
            InvalidInput: it is not an access unit that gives a picture of that size.
        """
        try:
            pictures = self._codec.decode(av.Packet(unit))
        except FFmpegError as error:
            raise InvalidInput(f"not an H.264 access unit: {error}") from error
        if len(pictures) != 1:
            raise InvalidInput(f"an access unit gave {len(pictures)} pictures, not 1")
        image: Image = pictures[0].to_ndarray(format="bgr24")
        if image.shape[0] < height or image.shape[1] < width:
            raise InvalidInput(
                f"a picture is {image.shape[1]}x{image.shape[0]}, smaller than {width}x{height}"
            )
        return image[:height, :width]
