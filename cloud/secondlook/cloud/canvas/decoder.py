"""One canvas, as its stream says: an access unit in, a picture out, or state lost.

FFmpeg hides damage by repeating what stood there before. Here a picture is right or there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.cloud.canvas import av1_unit, h264_unit
from secondlook.shared.errors import InvalidInput, MissingDependency, StateLost
from secondlook.shared.values import CanvasUpdate
from secondlook.shared.values.canvas import VideoCodec, chained

# As `secondlook.shared.detect.protocol.Image`, without all that its package loads.
Image = npt.NDArray[np.uint8]


_DECODERS = {VideoCodec.H264: "h264", VideoCodec.AV1: "libdav1d"}
_CHECKS = {VideoCodec.H264: h264_unit.check_unit, VideoCodec.AV1: av1_unit.check_unit}


class CanvasDecoder:
    """Decodes the updates of one canvas. Not safe for concurrent use.

    Raises:
        MissingDependency: PyAV is not installed.
    """

    def __init__(self) -> None:
        try:
            import av
            from av.error import FFmpegError
        except ImportError as error:
            raise MissingDependency("PyAV", "cloud") from error
        self._av: Any = av
        self._error = FFmpegError
        self._codec: Any = None
        self._kind = (VideoCodec.H264, 0, 0)
        self._check = 0

    def decode(self, update: CanvasUpdate, unit: bytes) -> Image:
        """The canvas after an update: uint8 (height, width, 3) BGR, the caller's own.

        Raises:
            StateLost: it does not follow what was decoded last, or it is damaged.
            InvalidInput: it is not what it says it is. Nothing but a key frame can follow.
        """
        kind = update.codec, update.width, update.height
        before = 0 if update.key else self._check
        if not update.key and (self._codec is None or kind != self._kind):
            raise StateLost("the canvas is not known here")
        if chained(unit, before) != update.check:
            self._codec = None
            raise StateLost("the update does not follow the one before, or is damaged")
        codec, self._codec = self._codec, None
        even = update.width + update.width % 2, update.height + update.height % 2
        check = _CHECKS[update.codec]
        check(unit, key=update.key, width=even[0], height=even[1])
        if update.key:
            codec = self._new_codec(update.codec, even)
        try:
            pictures = codec.decode(self._av.Packet(unit))
        except self._error as error:
            raise InvalidInput(f"unit cannot be decoded: {type(error).__name__}") from error
        if len(pictures) != 1 or pictures[0].is_corrupt:
            raise InvalidInput(f"unit gave {len(pictures)} whole pictures; 1 expected")
        picture = pictures[0]
        if (picture.width, picture.height) != even or picture.format.name != "yuv420p":
            raise InvalidInput(f"unit is {picture.format.name} of another size")
        image = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
        self._codec, self._kind, self._check = codec, kind, update.check
        return np.ascontiguousarray(image[: update.height, : update.width])

    def _new_codec(self, kind: VideoCodec, size: tuple[int, int]) -> Any:
        codec: Any = self._av.CodecContext.create(_DECODERS[kind], "r")
        codec.thread_count = 1
        codec.flags |= int(self._av.codec.context.Flags.low_delay)
        if kind is VideoCodec.H264:
            # Concealment stays on: it is what marks a picture as corrupt.
            codec.options = {"err_detect": "explode+bitstream+buffer+careful"}
        else:
            # A frame header may ask for more than the sequence header said.
            pixels = size[0] * size[1]
            codec.options = {"max_frame_delay": "1", "max_pixels": str(pixels)}
        return codec
