from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from secondlook.edge.capture.protocol import UnusableSource
from secondlook.edge.capture.sources import source_for
from secondlook.shared.errors import InvalidInput, SourceError


class FakeCapture:
    """Stands for ``cv2.VideoCapture``: no test machine has a camera."""

    opened: Any = None

    def __init__(self, target: str, api: int) -> None:
        type(self).opened = self
        self.target, self.api = target, api
        self.set_to: list[tuple[int, float]] = []
        self.left = 3
        self.released = 0

    def isOpened(self) -> bool:
        return "broken" not in self.target

    def set(self, key: int, value: float) -> bool:
        self.set_to.append((key, value))
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}.get(key, -1.0)

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((48, 64, 3), self.left, np.uint8)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def opencv(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: True)
    monkeypatch.setattr(Path, "exists", lambda self: "video9" not in str(self))
    return FakeCapture


def test_a_missing_device_is_named() -> None:
    with pytest.raises(SourceError, match=r"/dev/video99: no such device.*plug"):
        source_for("/dev/video99").open()


def test_an_opencv_without_gstreamer_is_final_and_says_the_remedy() -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(UnusableSource, match=r"built without GStreamer.*JetPack") as caught:
        source_for("gst://videotestsrc").open()
    assert not caught.value.retriable


def test_a_device_is_played(opencv: type[FakeCapture]) -> None:
    source = source_for("v4l2:///dev/video0?width=1280&height=720&fps=30&fourcc=MJPG")
    info = source.open()
    assert (info.width, info.height, info.fps, info.live) == (64, 48, 0.0, True)
    assert opencv.opened.api == cv2.CAP_V4L2
    assert opencv.opened.set_to == [
        (cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*"MJPG"))),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280.0),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720.0),
        (cv2.CAP_PROP_FPS, 30.0),
    ]
    times = [source.grab() for _ in range(3)]
    assert times[0] == 0.0
    assert times == sorted(times)
    assert source.retrieve().image.shape == (48, 64, 3)
    with pytest.raises(SourceError, match="no more frames"):
        source.grab()
    source.close()
    source.close()
    assert opencv.opened.released == 1


def test_a_device_in_use_is_explained(opencv: type[FakeCapture]) -> None:
    with pytest.raises(SourceError, match="another program may hold it"):
        source_for("v4l2:///dev/video-broken").open()


@pytest.mark.parametrize(
    "query", ["colour=red", "width=-3", "fps=0", "fourcc=TOOLONG", "width=99999"]
)
def test_a_wrong_mode_is_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match="v4l2"):
        source_for(f"v4l2:///dev/video0?{query}")


@pytest.mark.parametrize(
    ("pipeline", "ends"),
    [
        ("videotestsrc", "max-buffers=1 sync=false"),
        ("videotestsrc ! appsink name=mine", "appsink name=mine"),
    ],
)
def test_a_pipeline_gets_an_appsink(opencv: type[FakeCapture], pipeline: str, ends: str) -> None:
    source = source_for(f"gst://{pipeline}")
    assert source.open().live
    assert opencv.opened.api == cv2.CAP_GSTREAMER
    assert opencv.opened.target.startswith(pipeline)
    assert opencv.opened.target.endswith(ends)


def test_a_pipeline_that_does_not_start_shows_no_password(opencv: type[FakeCapture]) -> None:
    with pytest.raises(SourceError, match="does not start") as caught:
        source_for("gst://rtspsrc location=rtsp://a:hunter2@cam user-pw=hunter2 ! broken").open()
    assert "hunter2" not in str(caught.value)
