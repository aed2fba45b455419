"""Annotated videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from support.edge import picture, seen

from secondlook.edge.sinks import Event, VideoSettings
from secondlook.edge.sinks.drawing import CORRECTED_COLOUR, EDGE_COLOUR, draw
from secondlook.edge.sinks.video import VideoFailed, VideoSink
from secondlook.shared.values import FrameRef, Observation

CAR = ((100.0, 100.0, 200.0, 180.0), 0.5, "car")


def _event(sequence: int, *, revision: int = 0, width: int = 321, height: int = 241) -> Event:
    frame = FrameRef("site/gate", sequence, 0.0, 0.0, width, height)
    boxes = seen(CAR) if not revision else seen((CAR[0], 0.9, "person"))
    observation = Observation(frame, boxes, revision=revision)
    image = None if revision else picture(width, height)
    return Event(observation, sequence / 10, image)


def _frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


def test_frames_come_out_in_time_with_their_boxes(tmp_path: Path) -> None:
    sink = VideoSink(VideoSettings(path=str(tmp_path / "{camera}.mp4"), delay_s=0.5))
    sink.write([_event(n) for n in range(12)])
    sink.close()
    frames = _frames(tmp_path / "site_gate.mp4")
    assert [round(time, 2) for time, _ in frames] == [round(n / 10, 2) for n in range(12)]
    shown = frames[5][1]
    assert shown.shape == (240, 320, 3)
    assert np.abs(shown[100:180, 98:102].astype(int) - EDGE_COLOUR).sum(axis=2).min() < 90


def test_a_revision_in_time_is_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(VideoSettings(path=str(path), delay_s=1.0))
    sink.write([_event(0), _event(1), _event(0, revision=1), _event(2)])
    sink.close()
    first, second = _frames(path)[0][1], _frames(path)[1][1]
    edge = first[110:175, 98:102].astype(int), second[110:175, 98:102].astype(int)
    assert np.abs(edge[0] - CORRECTED_COLOUR).sum(axis=2).min() < 90
    assert np.abs(edge[1] - EDGE_COLOUR).sum(axis=2).min() < 90


def test_no_more_frames_are_held_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    sink = VideoSink(VideoSettings(path=str(path), delay_s=60, max_frames=2))
    sink.write([_event(n) for n in range(5)])
    sink.write([_event(0, revision=1)])
    sink.close()
    assert len(_frames(path)) == 5


def test_a_camera_that_changes_its_size_is_still_shown(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(VideoSettings(path=str(path), max_width_px=200))
    sink.write([_event(0, width=640, height=360), _event(1), _event(2, width=64, height=48)])
    sink.close()
    assert {image.shape for _, image in _frames(path)} == {(112, 200, 3)}


def test_a_path_that_cannot_be_written_is_an_error_and_closing_is_safe(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = VideoSink(VideoSettings(path=str(tmp_path / "file" / "out.mp4"), delay_s=0))
    with pytest.raises(VideoFailed, match="cannot be written"):
        sink.write([_event(0), _event(1)])
    with pytest.raises(VideoFailed):
        sink.close()
    sink.close()


def test_other_names_than_videos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoSettings(path="out.txt")


def test_colours_tell_the_edge_from_the_cloud() -> None:
    answer, canvas = seen(CAR), picture(320, 240, 0)
    draw(canvas, answer, answer, 1.0)
    assert tuple(canvas[150, 100]) == EDGE_COLOUR
    canvas = picture(320, 240, 0)
    draw(canvas, answer, seen((CAR[0], 0.9, "person")), 1.0)
    assert tuple(canvas[150, 100]) == CORRECTED_COLOUR
    canvas = picture(320, 240, 0)
    draw(canvas, answer, seen(), 1.0)
    assert canvas.any(), "what a verdict took away is shown as well"
    assert replace(_event(0), media_s=1.0).media_s == 1.0
