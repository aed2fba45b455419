"""Video files and network streams, through PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from secondlook.edge.capture.address import SourceAddress, SourceKind
from secondlook.edge.capture.protocol import SourceFrame, SourceInfo, SourceOptions
from secondlook.edge.capture.timeline import Timeline, plausible_fps
from secondlook.shared.errors import SourceError
from secondlook.shared.values.frame import MAX_PIXELS, check_size

MAX_BAD_PACKETS = 300
"""Packets in a row without a picture after which a stream is given up."""

_log = logging.getLogger(__name__)


class VideoSource:
    """Decodes a file, or an RTSP, RTMP or HTTP stream.

    Corrupt packets are skipped. Timestamps follow `Timeline`. A display rotation by a multiple of
    90 degrees in the container (phones write one) is applied, as players do.
    """

    def __init__(self, address: SourceAddress, options: SourceOptions) -> None:
        self._address = address
        self._options = options
        self._container: Any = None
        self._frames: Iterator[Any] | None = None
        self._frame: Any = None
        self._timeline = Timeline(0.0)
        self._stamp_arrival = False
        self._to_bgr = VideoReformatter()
        self._bgr: Any = None

    def open(self) -> SourceInfo:
        """See `FrameSource.open`."""
        if self._address.kind is SourceKind.FILE:
            self._check_file()
        self._container = container = self._open_container()
        stream = next((s for s in container.streams.video if s.codec_context is not None), None)
        if stream is None:
            raise SourceError(f"{self._address.shown}: there is no video in it")
        codec = stream.codec_context
        if codec.width and codec.height:
            check_size(codec.width, codec.height, self._address.shown)
        codec.thread_count = self._options.decode_threads
        codec.thread_type = "SLICE" if self._options.decode_threads == 1 else "AUTO"
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        header_fps = float(stream.average_rate or stream.guessed_rate or 0)
        fps = self._options.fps or plausible_fps(header_fps)
        self._timeline = Timeline(fps, trust=not self._options.fps)
        # Motion JPEG carries no time: FFmpeg makes one up from a rate that it makes up, too.
        self._stamp_arrival = container.format.name == "mpjpeg"
        self._frames = self._decode(stream)
        return SourceInfo(
            width=codec.width,
            height=codec.height,
            fps=fps,
            frames=stream.frames or None,
            live=self._is_live(container),
            backend=f"PyAV {av.__version__} / {codec.name}",
        )

    def grab(self) -> float | None:
        """See `FrameSource.grab`. Decodes, but does not convert to BGR."""
        assert self._frames is not None, "open comes first"
        # Let go of the last picture first, so that the decoder can use its buffer again.
        self._frame = self._bgr = None
        try:
            self._frame = next(self._frames, None)
        except av.error.FFmpegError as error:
            raise self._mapped(error, "stopped") from None
        if self._frame is None:
            return None
        check_size(self._frame.width, self._frame.height, self._address.shown)
        if self._stamp_arrival:
            return self._timeline.next(time.monotonic())
        stamp = self._frame.time
        return self._timeline.next(None if stamp is None else float(stamp))

    def retrieve(self) -> SourceFrame:
        """See `FrameSource.retrieve`. The image is a view of the converter's buffer."""
        assert self._frame is not None, "grab comes first"
        try:
            self._bgr = self._to_bgr.reformat(self._frame, format="bgr24")
        except (av.error.FFmpegError, ValueError) as error:
            raise SourceError(
                f"{self._address.shown}: {self._frame.format.name} cannot be converted to BGR: "
                f"{error}"
            ) from None
        image = _view(self._bgr)
        quarter_turns = round(getattr(self._frame, "rotation", 0) / 90) % 4
        return SourceFrame(np.rot90(image, quarter_turns) if quarter_turns else image)

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._frames = self._frame = self._bgr = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _check_file(self) -> None:
        path = Path(self._address.target)
        try:
            size = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise SourceError(f"{self._address.shown}: {error.strerror or error}") from None
        if size == 0:
            raise SourceError(f"{self._address.shown}: the file is empty (0 bytes)")

    def _open_container(self) -> Any:
        options: dict[str, str] = {"max_pixels": str(MAX_PIXELS)}
        scheme = urlsplit(self._address.target).scheme.lower()
        if self._address.kind is SourceKind.FILE:
            # A playlist or a reference movie must not make the agent fetch or read other things.
            options["protocol_whitelist"] = "file"
        elif scheme in ("rtsp", "rtsps"):
            options["rtsp_transport"] = self._options.rtsp_transport
            options["allowed_media_types"] = "video"
            # Measuring the frame rate would cost a second of frames before the first is shown.
            options["fpsprobesize"] = "0"
        try:
            return av.open(
                self._address.target,
                mode="r",
                options=options,
                metadata_errors="ignore",
                timeout=(self._options.open_timeout_s, self._options.read_timeout_s),
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise self._mapped(error, "cannot be opened") from None

    def _decode(self, stream: Any) -> Iterator[Any]:
        """Decoded frames; skips corrupt packets. A file that breaks off ends."""
        bad = pictures = 0
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                if self._address.kind is SourceKind.FILE and pictures:
                    _log.warning("%s breaks off: %s", self._address.shown, error)
                    return
                raise
            if packet is None:
                break
            try:
                frames = packet.decode()
            except av.error.EOFError:
                break
            except (av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
                frames, bad = [], bad + 1
                if bad > MAX_BAD_PACKETS:
                    raise SourceError(
                        f"{self._address.shown}: {bad} corrupt packets in a row: {error.strerror}"
                    ) from None
            for frame in frames:
                bad, pictures = 0, pictures + 1
                yield frame
        if not pictures:
            raise SourceError(
                f"{self._address.shown}: not one picture can be decoded",
                remedy="the stream is truncated, corrupt or encrypted",
            )

    def _is_live(self, container: Any) -> bool:
        if self._address.kind is SourceKind.FILE:
            return False
        scheme = urlsplit(self._address.target).scheme.lower()
        return scheme not in ("http", "https") or not container.duration

    def _mapped(self, error: Exception, what: str) -> SourceError:
        """A foreign error in our words, without the password."""
        detail = self._address.scrub(getattr(error, "strerror", None) or str(error))
        return SourceError(f"{self._address.shown}: {what}: {detail}", remedy=_remedy(error))


_REMEDIES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        "check user and password in the URL, percent-encoded",
    ),
    (av.error.HTTPNotFoundError, "check the path of the URL"),
    (av.error.ConnectionRefusedError, "nothing listens on that port; is the camera up?"),
    (
        (av.error.ExitError, av.error.TimeoutError),
        "no data within open_timeout_s or stall_timeout_s; is the camera reachable?",
    ),
    (av.error.InvalidDataError, "it is truncated, corrupt, or not a video"),
    (av.error.ProtocolNotFoundError, "this build of FFmpeg lacks the protocol"),
)


def _remedy(error: Exception) -> str:
    return next((text for kind, text in _REMEDIES if isinstance(error, kind)), "")


def _view(bgr: Any) -> npt.NDArray[np.uint8]:
    """The pixels of a bgr24 frame, uint8 (height, width, 3), without a copy."""
    plane = bgr.planes[0]
    if plane.line_size < bgr.width * 3:
        # Stored bottom-up (raw AVI): only PyAV knows how to walk it.
        flipped: npt.NDArray[np.uint8] = bgr.to_ndarray()
        return flipped
    image: npt.NDArray[np.uint8] = np.ndarray(
        (bgr.height, bgr.width, 3), np.uint8, buffer=plane, strides=(plane.line_size, 3, 1)
    )
    return image
