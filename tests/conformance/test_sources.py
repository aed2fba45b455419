"""What every source of frames promises (`secondlook.edge.capture.protocol.FrameSource`).

V4L2 and GStreamer need a camera, or an OpenCV built with GStreamer; their adapters are tested
against a stand-in for OpenCV in ``tests/unit/edge/capture/sources``.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import number_in, numbered, numbered_image, write_clip, write_images
from support.rtsp import RtspServer, free_port

from secondlook.edge.capture.protocol import FrameSource, SourceFrame, SourceOptions
from secondlook.edge.capture.sources import source_for
from secondlook.shared.errors import InvalidInput, SecondlookError, SourceError

FRAMES = 24


@dataclass(frozen=True)
class Case:
    """A source under test.

    Attributes:
        url: its URL.
        numbered: whether its frames carry their number (`support.clips.numbered_image`).
        finite: whether it has `FRAMES` frames and then ends.
        missing: a URL of the same kind where nothing is.
    """

    url: str
    numbered: bool = True
    finite: bool = True
    missing: str = ""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_clip(folder / "a.mp4", numbered(FRAMES), options={"bf": "0", "g": "8"})
    write_clip(folder / "a.avi", numbered(FRAMES), codec="mpeg4")
    write_clip(folder / "a.mkv", numbered(FRAMES), codec="mjpeg")
    write_images(folder / "png", numbered(FRAMES))
    write_images(folder / "jpg", numbered(FRAMES), ".jpg")
    return folder


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def rtsp(folder: Path) -> Iterator[RtspServer]:
    with RtspServer(folder) as server:
        yield server


def _file(name: str) -> Callable[[pytest.FixtureRequest], Case]:
    def make(request: pytest.FixtureRequest) -> Case:
        folder = request.getfixturevalue("folder")
        return Case(str(folder / name), missing=str(folder / f"none-{name}"))

    return make


def _http(request: pytest.FixtureRequest) -> Case:
    web = request.getfixturevalue("web")
    return Case(f"{web}/a.mp4", missing=f"{web}/none.mp4")


def _rtsp(request: pytest.FixtureRequest) -> Case:
    server = request.getfixturevalue("rtsp")
    missing = f"rtsp://127.0.0.1:{free_port()}/none"
    return Case(server.url("a.mp4"), finite=False, missing=missing)


def _sim(_: pytest.FixtureRequest) -> Case:
    return Case(f"sim://street?size=320x192&frames={FRAMES}", numbered=False)


CASES = {
    "h264-mp4": _file("a.mp4"),
    "mpeg4-avi": _file("a.avi"),
    "mjpeg-mkv": _file("a.mkv"),
    "png-folder": _file("png"),
    "jpg-folder": _file("jpg"),
    "http-mp4": _http,
    "rtsp": _rtsp,
    "sim": _sim,
}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)


@pytest.fixture
def source(case: Case) -> Iterator[FrameSource]:
    source = source_for(case.url, SourceOptions(open_timeout_s=30.0, read_timeout_s=30.0))
    yield source
    source.close()


def grab(source: FrameSource) -> float:
    media_s = source.grab()
    assert media_s is not None, "the stream ended"
    return media_s


def check_frame(frame: SourceFrame) -> None:
    assert frame.image.dtype == np.uint8
    assert frame.image.ndim == 3
    assert frame.image.shape[2] == 3
    if frame.truth is None:
        assert frame.ignore is None
    else:
        assert frame.ignore is not None
        assert frame.ignore.shape == (len(frame.truth),)


def test_says_what_it_is(source: FrameSource, case: Case) -> None:
    info = source.open()
    assert info.backend
    assert info.fps == 10.0
    assert info.live is not case.finite
    if case.finite:
        assert info.frames in (FRAMES, None)
    grab(source)
    height, width = source.retrieve().image.shape[:2]
    assert (info.width, info.height) in ((width, height), (0, 0))


def test_gives_frames_in_order_with_times_that_never_go_back(
    source: FrameSource, case: Case
) -> None:
    source.open()
    times, found = [], []
    for _ in range(FRAMES):
        times.append(grab(source))
        frame = source.retrieve()
        check_frame(frame)
        found.append(number_in(frame.image))
    assert times[0] == 0.0
    assert times == sorted(times)
    assert times[-1] == pytest.approx((FRAMES - 1) / 10, abs=0.05)
    if case.numbered:
        assert found == list(range(FRAMES))


def test_a_frame_that_is_not_retrieved_is_passed_over(source: FrameSource, case: Case) -> None:
    source.open()
    for _ in range(4):
        grab(source)
    image = source.retrieve().image
    if case.numbered:
        assert number_in(image) == 3
    else:
        other = source_for(case.url)
        other.open()
        for _ in range(4):
            grab(other)
            expected = other.retrieve().image
        assert np.array_equal(image, expected)
        other.close()


def test_ends_and_stays_ended(source: FrameSource, case: Case) -> None:
    if not case.finite:
        pytest.skip("a live stream has no end")
    source.open()
    for _ in range(FRAMES):
        grab(source)
    assert source.grab() is None
    assert source.grab() is None


def test_closes_as_often_as_wanted(source: FrameSource, case: Case) -> None:
    source_for(case.url).close()
    source.open()
    grab(source)
    source.retrieve()
    source.close()
    source.close()


def test_opens_again_from_the_start(case: Case) -> None:
    for _ in range(2):
        source = source_for(case.url)
        source.open()
        assert grab(source) == 0.0
        image = source.retrieve().image
        if case.numbered:
            assert number_in(image) == 0
        source.close()


def test_says_which_source_is_missing_without_its_password(case: Case) -> None:
    if not case.missing:
        pytest.skip("it cannot be missing")
    url = case.missing.replace("://127", "://me:hunter2@127")
    source = source_for(url, SourceOptions(open_timeout_s=30.0))
    with pytest.raises(SourceError, match="none") as caught:
        source.open()
    assert "hunter2" not in str(caught.value)
    source.close()


def test_a_size_that_changes_in_the_stream_is_passed_on(tmp_path: Path) -> None:
    for i, (width, height) in enumerate([(64, 48), (320, 240), (32, 96)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), numbered_image(i, width, height))
    source = source_for(str(tmp_path))
    source.open()
    shapes = []
    while source.grab() is not None:
        shapes.append(source.retrieve().image.shape)
    assert shapes == [(48, 64, 3), (240, 320, 3), (96, 32, 3)]


def test_an_h264_stream_may_change_its_size(tmp_path: Path) -> None:
    # Two elementary streams one after the other, as a camera sends them whose resolution is
    # changed while it streams.
    parts = [
        write_clip(tmp_path / f"{i}.h264", numbered(8, width, height))
        for i, (width, height) in enumerate([(160, 96), (320, 192)])
    ]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = source_for(str(joined))
    source.open()
    found, times = [], []
    while (media_s := source.grab()) is not None:
        image = source.retrieve().image
        found.append((image.shape[1], number_in(image)))
        times.append(media_s)
    assert found == [(160, i) for i in range(8)] + [(320, i) for i in range(8)]
    assert times == sorted(times)
    source.close()


@pytest.mark.parametrize("url", ["", "gopher://x", "sim://street?colour=red", "sim://moon"])
def test_a_url_that_can_never_work_is_the_callers_fault(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        source_for(url)
    assert isinstance(caught.value, SecondlookError)
