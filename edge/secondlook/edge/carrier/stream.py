"""A video encoder of FFmpeg as a canvas uses it: one picture in, one unit out, at once."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from secondlook.edge.carrier.planes import Planes
from secondlook.shared.errors import MissingDependency, SecondlookError


class EncoderStream:
    """One stream of units of 4:2:0 and 8 bits.

    Args:
        encoder: FFmpeg's name of it.
        width, height: size of the pictures, even, pixels.
        options: of the encoder; one that holds pictures back is of no use here.

    Raises:
        MissingDependency: PyAV, or an FFmpeg with that encoder, is not there.
    """

    def __init__(self, encoder: str, width: int, height: int, options: Mapping[str, str]) -> None:
        try:
            import av
            from av.error import FFmpegError

            codec: Any = av.CodecContext.create(encoder, "w")
        except (ImportError, ValueError, OSError) as error:
            raise MissingDependency(f"PyAV with {encoder}", "edge") from error
        codec.width, codec.height = width, height
        codec.pix_fmt = "yuv420p"
        codec.framerate, codec.time_base = Fraction(10), Fraction(1, 10)
        codec.thread_count = 1
        codec.options = dict(options)
        self._new_picture = av.VideoFrame.from_ndarray
        self._error = FFmpegError
        self._encoder = encoder
        self._codec = codec
        self._count = 0

    def encode(self, planes: Planes) -> bytes:
        """The unit of the next picture.

        Raises:
            SecondlookError: the encoder gave none; it cannot be used any more.
        """
        picture = self._new_picture(planes, format="yuv420p")
        picture.pts = self._count
        self._count += 1
        try:
            unit = b"".join(bytes(packet) for packet in self._codec.encode(picture))
        except self._error as error:
            raise SecondlookError(f"{self._encoder} failed: {error}") from error
        if not unit:
            raise SecondlookError(f"{self._encoder} gave nothing for a picture")
        return unit


def joined(params: Mapping[str, str]) -> str:
    """Parameters of an encoder's own, as FFmpeg hands them on."""
    return ":".join(f"{name}={value}" for name, value in params.items())
