"""V4L2 cameras and GStreamer pipelines, through OpenCV."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import cv2

from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.protocol import (
    SourceFrame,
    SourceInfo,
    SourceOptions,
    UnusableSource,
)
from secondlook.edge.capture.timeline import plausible_fps
from secondlook.shared.errors import InvalidInput, SourceError
from secondlook.shared.values.frame import check_size

APPSINK = " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
"""Added to a pipeline that ends without an ``appsink``."""


class _OpenCvSource:
    """What both have in common: OpenCV's grab and retrieve, and the machine's clock."""

    backend = "OpenCV"

    def __init__(self, address: SourceAddress, options: SourceOptions) -> None:
        self._address = address
        self._options = options
        self._capture: Any = None
        self._first_s: float | None = None

    def _connect(self) -> Any:
        raise NotImplementedError

    def open(self) -> SourceInfo:
        """See `FrameSource.open`."""
        self._capture = capture = self._connect()
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width > 0 and height > 0:
            check_size(width, height, self._address.shown)
        fps = self._options.fps or plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        return SourceInfo(width, height, fps, None, live=True, backend=self.backend)

    def grab(self) -> float | None:
        """See `FrameSource.grab`. Media time is when the frame came: devices have no better."""
        if not self._capture.grab():
            raise SourceError(
                f"{self._address.shown}: no more frames", remedy="is it still plugged in?"
            )
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s
        return now_s - self._first_s

    def retrieve(self) -> SourceFrame:
        """See `FrameSource.retrieve`."""
        ok, image = self._capture.retrieve()
        if not ok or image is None or image.ndim != 3:
            raise SourceError(f"{self._address.shown}: a frame cannot be decoded to BGR")
        return SourceFrame(image)

    def close(self) -> None:
        """See `FrameSource.close`."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class V4l2Source(_OpenCvSource):
    """A USB or CSI camera.

    ``v4l2:///dev/video0?width=1280&height=720&fps=30&fourcc=MJPG``: the camera takes the mode
    nearest to what is asked.
    """

    backend = "OpenCV V4L2"

    def __init__(self, address: SourceAddress, options: SourceOptions) -> None:
        super().__init__(address, options)
        self._device, _, query = address.target.partition("?")
        self._mode: list[tuple[int, float]] = []
        for name, value in parse_qsl(query, keep_blank_values=True):
            self._mode.append(_mode_property(name, value))
        # A camera sets its pixel format first: sizes and rates depend on it.
        self._mode.sort(key=lambda pair: pair[0] != cv2.CAP_PROP_FOURCC)

    def _connect(self) -> Any:
        if not Path(self._device).exists():
            raise SourceError(
                f"{self._device}: no such device",
                remedy="plug the camera in, or choose another of /dev/video*",
            )
        capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(
                f"{self._device}: cannot be opened as a camera",
                remedy="another program may hold it, or this user is not in the group video",
            )
        for key, value in self._mode:
            capture.set(key, value)
        return capture


class GStreamerSource(_OpenCvSource):
    """Any GStreamer pipeline, for example Jetson's hardware decoder.

    ``gst://rtspsrc location=rtsp://camera/ latency=100 ! rtph264depay ! h264parse ! nvv4l2decoder
    ! nvvidconv ! video/x-raw,format=BGRx``: conversion to BGR and the ``appsink`` are added where
    the pipeline has no ``appsink`` of its own.
    """

    backend = "OpenCV GStreamer"

    def _connect(self) -> Any:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise UnusableSource(
                f"{self._address.shown}: this OpenCV is built without GStreamer",
                remedy="wheels from pip have none; use the OpenCV of JetPack or of the system "
                "(python3-opencv), or an rtsp:// URL, which PyAV decodes",
            )
        pipeline = self._address.target
        if "appsink" not in pipeline:
            pipeline += APPSINK
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise SourceError(
                f"{self._address.shown}: the pipeline does not start",
                remedy="try it with gst-launch-1.0, with fakesink in place of appsink",
            )
        return capture


_SIZES = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": cv2.CAP_PROP_FRAME_HEIGHT}


def _mode_property(name: str, value: str) -> tuple[int, float]:
    if name == "fourcc" and len(value) == 4 and value.isascii():
        return cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*value))
    if name in _SIZES and value.isdecimal():
        check_size(int(value), 1, f"v4l2 {name}")
        return _SIZES[name], float(value)
    if name == "fps" and value.isdecimal() and 1 <= int(value) <= 240:
        return cv2.CAP_PROP_FPS, float(value)
    raise InvalidInput(
        f"v4l2: {name}={value!r} is not understood",
        remedy="width and height in pixels, fps from 1 to 240, fourcc of four letters",
    )
