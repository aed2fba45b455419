"""Cameras, opened as the agent opens them: in a capture process."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import numbered, write_clip, write_images
from support.doctor import Results, closed_port, http1, serve_raw

from secondlook.cli.doctor import camera
from secondlook.cli.doctor.camera import CameraVisit
from secondlook.cli.doctor.result import Status, exit_code
from secondlook.edge.capture.settings import CaptureSettings

pytestmark = pytest.mark.anyio


async def visit(url: str | Path, **settings: object) -> Results:
    results = Results()
    look = CameraVisit("gate", str(url), CaptureSettings(**settings), timeout_s=5.0)
    passed = await look.walk(results)
    assert passed is (exit_code(results) == 0)
    return results


async def test_a_good_recording(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, numbered(5))
    results = await visit(path)
    assert results.shape() == {"opens": "ok", "frame": "ok"}
    assert "160x96" in results.of("camera gate: opens").detail
    assert "decoded in" in results.of("camera gate: frame").detail


async def test_a_picture_of_nothing_is_a_warning(tmp_path: Path) -> None:
    write_images(tmp_path / "dark", [np.zeros((96, 160, 3), np.uint8)] * 2)
    results = await visit(tmp_path / "dark")
    assert results.of("camera gate: frame").status is Status.WARN
    assert "lens" in results.of("camera gate: frame").remedy


@pytest.mark.parametrize("content", [b"", b"RIFF....AVI garbage" * 100])
async def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    results = await visit(path)
    assert results.shape() == {"opens": "fail", "frame": "skip"}
    assert "clip.avi" in results.first_failure.detail
    assert results.first_failure.remedy


async def test_an_absurd_picture_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bomb"
    folder.mkdir()
    done, png = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))
    assert done
    head = bytearray(png.tobytes())
    head[16:24] = (60_000).to_bytes(4, "big") * 2
    (folder / "0.png").write_bytes(bytes(head))
    results = await visit(folder)
    assert exit_code(results) != 0
    assert "60000" in str(results)


async def test_a_missing_device() -> None:
    results = await visit("v4l2:///dev/video-none")
    assert results.shape() == {"opens": "fail", "frame": "skip"}


async def test_a_url_that_can_never_work() -> None:
    results = await visit("gopher://camera/1")
    assert [r.name for r in results] == ["camera gate: URL"]
    assert exit_code(results) == 2


async def test_a_camera_whose_host_is_off() -> None:
    results = await visit(f"rtsp://viewer:hunter2@127.0.0.1:{closed_port()}/live")
    assert results.shape() == {"name": "ok", "TCP": "fail"}
    assert "switch it on" in results.first_failure.remedy
    assert exit_code(results) == 4


async def test_a_camera_that_speaks_something_else() -> None:
    with serve_raw(http1) as address:
        url = f"rtsp://viewer:hunter2@{address.target}/live"
        results = await visit(url, open_timeout_s=2.0)
    assert results.shape() == {"name": "ok", "TCP": "ok", "opens": "fail", "frame": "skip"}
    assert "hunter2" not in str(results)


async def test_a_decoder_that_dies_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dying_source.py").write_text(
        "import os, sys\n"
        "def source_for(url, options):\n"
        "    print('decoder: assertion failed', file=sys.stderr, flush=True)\n"
        "    os.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONFAULTHANDLER", "")
    monkeypatch.setattr(camera, "SOURCE_FACTORY", "dying_source:source_for")
    results = await visit(tmp_path / "clip.mp4")
    assert results.shape() == {"opens": "fail", "frame": "skip"}
    assert "the decoder process died" in results.first_failure.detail
    assert exit_code(results) == 4
