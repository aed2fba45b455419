"""The camera's picture with the answers that stood in the end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.sinks.drawing import caption, draw
from secondlook.edge.sinks.protocol import Event
from secondlook.edge.sinks.settings import VideoSettings
from secondlook.shared.errors import SecondlookError
from secondlook.shared.values import Detections

_TIME_BASE = Fraction(1, 90_000)
_CODECS = ("libx264", "mpeg4")
"""Tried in turn: not every build of FFmpeg has the first."""


class VideoFailed(SecondlookError):
    """A video cannot be written."""


@dataclass(slots=True, eq=False)
class _Held:
    """A frame that waits for revisions, already shrunk."""

    picture: npt.NDArray[np.uint8]
    scale: float
    media_s: float
    sequence: int
    answer: Detections
    final: Detections


class VideoSink:
    """Writes one video per camera; frames are held back until revisions have had their time."""

    wants_images = True

    def __init__(self, settings: VideoSettings) -> None:
        self._settings = settings
        self._videos: dict[str, _Video] = {}

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return f"video:{self._settings.path}"

    def write(self, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        for event in events:
            camera = event.observation.frame.camera
            video = self._videos.get(camera)
            if video is None:
                path = Path(self._settings.path.replace("{camera}", camera.replace("/", "_")))
                video = self._videos[camera] = _Video(path, self._settings)
            video.take(event)

    def close(self) -> None:
        """See `Sink.close`."""
        videos, self._videos = list(self._videos.values()), {}
        # All are finished, also where one of them fails.
        with ExitStack() as ending:
            for video in videos:
                ending.callback(video.close)


class _Video:
    """The video of one camera."""

    def __init__(self, path: Path, settings: VideoSettings) -> None:
        self._path = path
        self._settings = settings
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._last_pts = -1
        self._written = 0

    def take(self, event: Event) -> None:
        observation = event.observation
        sequence = observation.frame.sequence
        if observation.revision:
            if sequence in self._held:
                self._held[sequence].final = observation.detections
            return
        if event.image is None:
            return
        picture, scale = _shrunk(event.image, self._settings.max_width_px)
        self._held[sequence] = _Held(
            picture,
            scale,
            event.media_s,
            sequence,
            observation.detections,
            observation.detections,
        )
        while self._held and (
            len(self._held) > self._settings.max_frames
            or next(iter(self._held.values())).media_s < event.media_s - self._settings.delay_s
        ):
            self._encode(self._held.popitem(last=False)[1])

    def close(self) -> None:
        try:
            while self._held:
                self._encode(self._held.popitem(last=False)[1])
            if self._container is not None:
                self._mux(None)
                self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise VideoFailed(f"{self._path} cannot be finished: {error}") from None
        finally:
            self._container = self._stream = None

    def _encode(self, held: _Held) -> None:
        draw(held.picture, held.answer, held.final, held.scale)
        caption(held.picture, f"frame {held.sequence}  {held.media_s:.2f} s")
        try:
            self._open(held.picture)
            if (held.picture.shape[1], held.picture.shape[0]) != self._size:
                # The camera has changed its size; a video cannot.
                held.picture = np.asarray(cv2.resize(held.picture, self._size), np.uint8)
            frame = av.VideoFrame.from_ndarray(held.picture, format="bgr24")
            seconds = held.media_s
            if self._settings.fps:
                seconds = self._written / self._settings.fps
            frame.pts = max(self._last_pts + 1, round(seconds / float(_TIME_BASE)))
            frame.time_base = _TIME_BASE
            self._last_pts = frame.pts
            self._written += 1
            self._mux(frame)
        except (av.FFmpegError, OSError) as error:
            raise VideoFailed(f"{self._path} cannot be written: {error}") from None

    def _open(self, picture: npt.NDArray[np.uint8]) -> None:
        if self._container is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        container = av.open(str(self._path), "w")
        codec = next(name for name in _CODECS if name in av.codecs_available)
        stream: Any = container.add_stream(codec, rate=30)
        # Codecs of this pixel format take even sizes only.
        stream.width, stream.height = picture.shape[1] & ~1, picture.shape[0] & ~1
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        if codec == "libx264":
            stream.options = {"preset": "veryfast", "crf": "26", "threads": "1"}
        self._container, self._stream = container, stream
        self._size = (stream.width, stream.height)

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _shrunk(image: npt.NDArray[np.uint8], max_width_px: int) -> tuple[npt.NDArray[np.uint8], float]:
    """A copy to draw on, of an even size, and its scale."""
    height, width = image.shape[:2]
    scale = min(1.0, max_width_px / width)
    size = (max(2, round(width * scale) & ~1), max(2, round(height * scale) & ~1))
    if size == (width, height):
        return image.copy(), 1.0
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale
