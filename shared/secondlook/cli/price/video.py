"""H.264 and H.265 as a live camera sends them: one access unit in, one picture out, no delay."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from secondlook.shared.errors import InvalidInput, MissingDependency

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Codec:
    """A video codec and how it is run.

    Attributes:
        name: what people call it.
        encoder, decoder: what FFmpeg calls them.
        options: of the encoder, beside the constant rate factor.
    """

    name: str
    encoder: str
    decoder: str
    options: tuple[tuple[str, str], ...]


H264 = Codec("H.264", "libx264", "h264", (("preset", "veryfast"), ("tune", "zerolatency")))
"""No B-frames, no look-ahead, one packet a frame."""

H265 = Codec(
    "H.265",
    "libx265",
    "hevc",
    (
        ("preset", "veryfast"),
        ("tune", "zerolatency"),
        # Parameter sets with each key frame, as a stream needs them; no advertisement of x265; one
        # thread, as the others have. Key frames at most 250 apart, as x264 places them.
        (
            "x265-params",
            "log-level=none:repeat-headers=1:info=0:keyint=250:pools=none:frame-threads=1",
        ),
    ),
)
"""The same of x265; how the preset was chosen is in docs/guides/price.md."""


class VideoEncoder:
    """Encodes pictures of one size. Odd sides are extended by a repeated row or column.

    Args:
        codec: which, and how.
        width, height: size of the pictures, pixels.
        fps: frames a second, for the rate control's idea of time.
        crf: constant rate factor, 0 to 51.

    Raises:
        MissingDependency: this build of FFmpeg does not have the encoder.
        InvalidInput: it does not take pictures of this size.
    """

    def __init__(self, codec: Codec, width: int, height: int, fps: float, crf: int) -> None:
        self._pad = (height % 2, width % 2)
        self._name = codec.name
        try:
            context: Any = av.CodecContext.create(codec.encoder, "w")
        except (FFmpegError, ValueError) as error:
            raise MissingDependency(f"an FFmpeg with {codec.encoder}", "edge") from error
        rate = Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(25)
        context.width, context.height = width + self._pad[1], height + self._pad[0]
        context.pix_fmt = "yuv420p"
        context.framerate, context.time_base = rate, 1 / rate
        context.thread_count = 1
        context.options = {**dict(codec.options), "crf": str(crf)}
        self._codec = context
        self._count = 0

    def encode(self, image: Image) -> bytes:
        """The access unit of the next picture (uint8 (height, width, 3) BGR).

        Raises:
            InvalidInput: the encoder does not take pictures of this size.
        """
        if any(self._pad):
            image = np.asarray(
                cv2.copyMakeBorder(image, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE),
                np.uint8,
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        picture.pts = self._count
        self._count += 1
        try:
            return b"".join(bytes(packet) for packet in self._codec.encode(picture))
        except FFmpegError as error:
            height, width = image.shape[:2]
            raise InvalidInput(f"{self._name} cannot encode {width}x{height}: {error}") from error


class VideoDecoder:
    """Decodes access units in order, each to its picture at once."""

    def __init__(self, codec: Codec) -> None:
        context: Any = av.CodecContext.create(codec.decoder, "r")
        context.thread_count = 1
        context.flags |= int(av.codec.context.Flags.low_delay)
        self._codec = context
        self._name = codec.name

    def decode(self, unit: bytes, width: int, height: int) -> Image:
        """The picture of an access unit, cut to ``width`` x ``height``.

        Raises:
            InvalidInput: it is not an access unit that gives a picture of that size.
        """
        try:
            pictures = self._codec.decode(av.Packet(unit))
        except FFmpegError as error:
            raise InvalidInput(f"not an {self._name} access unit: {error}") from error
        if len(pictures) != 1:
            raise InvalidInput(f"an access unit gave {len(pictures)} pictures, not 1")
        image: Image = pictures[0].to_ndarray(format="bgr24")
        if image.shape[0] < height or image.shape[1] < width:
            raise InvalidInput(
                f"a picture is {image.shape[1]}x{image.shape[0]}, smaller than {width}x{height}"
            )
        return image[:height, :width]
