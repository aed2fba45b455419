from __future__ import annotations

import http.server
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import number_in, numbered, numbered_image, write_clip

from secondlook.edge.capture.protocol import SourceOptions
from secondlook.edge.capture.sources import source_for
from secondlook.shared.errors import InvalidInput, SourceError

from .test_images import huge_png, numbers


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.avi", numbered(40), codec="mpeg4")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SourceError, match=r"a\.mp4: the file is empty"):
        source_for(str(tmp_path / "a.mp4")).open()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.mp4: No such file"):
        source_for(str(tmp_path / "a.mp4")).open()


@pytest.mark.parametrize("content", [b"x", b"garbage " * 999, b"\0\0\0\x18ftypmp42" + b"\0" * 99])
def test_garbage_is_no_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.mp4.*truncated, corrupt, or not a video"):
        source_for(str(tmp_path / "a.mp4")).open()


def test_a_video_without_its_index_is_said_to_be_truncated(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mp4", numbered(40)).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="truncated"):
        source_for(str(tmp_path / "a.mp4")).open()


def test_a_video_that_breaks_off_gives_what_is_there(clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    (tmp_path / "a.avi").write_bytes(whole[: len(whole) * 4 // 5])
    found = numbers(source_for(str(tmp_path / "a.avi")))
    assert 5 < len(found) < 40
    # The last packet is cut: its picture is whatever the decoder makes of it.
    assert found[:-1] == list(range(len(found) - 1))


def test_corrupt_packets_are_skipped(clip: Path, tmp_path: Path) -> None:
    damaged = bytearray(clip.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 200] = b"\xa5" * 200
    (tmp_path / "a.avi").write_bytes(damaged)
    source = source_for(str(tmp_path / "a.avi"))
    source.open()
    count = 0
    while source.grab() is not None:
        assert source.retrieve().image.shape == (96, 160, 3)
        count += 1
    assert count > 20


def test_a_file_without_pictures_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", numbered(4), codec="mpeg4")
    content = bytearray(path.read_bytes())
    (tmp_path / "b.ts").write_bytes(content[: 188 * 3])
    with pytest.raises(SourceError):
        numbers(source_for(str(tmp_path / "b.ts")))


def test_a_huge_image_under_the_name_of_a_video_is_refused(tmp_path: Path) -> None:
    huge_png(tmp_path / "bomb.mp4")
    with pytest.raises((SourceError, InvalidInput), match=r"bomb\.mp4"):
        numbers(source_for(str(tmp_path / "bomb.mp4")))


def test_an_oversized_video_is_refused(tmp_path: Path) -> None:
    huge_png(tmp_path / "wide.mp4", 16_000, 4_100)
    with pytest.raises((SourceError, InvalidInput), match=r"wide\.mp4"):
        numbers(source_for(str(tmp_path / "wide.mp4")))


def test_a_playlist_cannot_reach_out(tmp_path: Path, clip: Path) -> None:
    shutil.copy(clip, tmp_path / "secret.avi")
    (tmp_path / "a.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(SourceError, match=r"a\.m3u8"):
        numbers(source_for(str(tmp_path / "a.m3u8")))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    path = write_clip(tmp_path / "a.mp4", [numbered_image(5)] * 3, rotation=degrees)
    source = source_for(str(path))
    source.open()
    assert source.grab() == 0.0
    image = source.retrieve().image
    upright = np.rot90(image, -degrees // 90)
    assert upright.shape == (96, 160, 3)
    assert number_in(upright) == 5


def test_odd_widths_are_read_without_their_padding(tmp_path: Path) -> None:
    frames = [np.full((50, 62, 3), 10 * i, np.uint8) for i in range(5)]
    source = source_for(str(write_clip(tmp_path / "a.avi", frames, codec="mjpeg")))
    source.open()
    for i in range(5):
        assert source.grab() is not None
        image = source.retrieve().image
        assert image.shape == (50, 62, 3)
        assert abs(int(image.mean()) - 10 * i) <= 2


def test_the_settings_rate_replaces_the_headers(clip: Path) -> None:
    source = source_for(str(clip), SourceOptions(fps=4.0))
    assert source.open().fps == 4.0
    assert [source.grab() for _ in range(3)] == [0.0, 0.25, 0.5]


def test_threads_decode_the_same(clip: Path) -> None:
    for threads in (0, 1, 2):
        assert numbers(source_for(str(clip), SourceOptions(decode_threads=threads))) == list(
            range(40)
        )


def test_a_refused_connection_is_explained_without_the_password() -> None:
    source = source_for("rtsp://admin:hunter2@127.0.0.1:9/live", SourceOptions(open_timeout_s=5.0))
    with pytest.raises(SourceError, match="nothing listens") as caught:
        source.open()
    assert "hunter2" not in str(caught.value)
    assert "admin:***@127.0.0.1:9" in str(caught.value)
    source.close()


class _MotionJpeg(http.server.BaseHTTPRequestHandler):
    """What cheap cameras speak: JPEG after JPEG in one endless response."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        number = 0
        while True:
            _, jpeg = cv2.imencode(".jpg", numbered_image(number))
            part = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
            try:
                self.wfile.write(part % (len(jpeg), jpeg.tobytes()))
            except OSError:
                return
            number += 1

    def log_message(self, *args: object) -> None:
        pass


def test_motion_jpeg_over_http_is_live_and_timed_by_arrival() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _MotionJpeg) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        source = source_for(f"http://127.0.0.1:{server.server_address[1]}/video")
        assert source.open().live
        times, found = [], []
        for _ in range(30):
            times.append(source.grab())
            found.append(number_in(source.retrieve().image))
        source.close()
        server.shutdown()
        serving.join()
    assert found == list(range(found[0], found[0] + 30))
    assert times[0] == 0.0
    assert times == sorted(times)
    # They came as fast as they could be sent: not 25 a second, as FFmpeg would have it.
    assert times[-1] != pytest.approx(29 / 25, abs=1e-6)
