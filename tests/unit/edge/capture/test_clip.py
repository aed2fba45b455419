from __future__ import annotations

from pathlib import Path

import pytest
from support.clips import number_in, numbered, write_clip

from secondlook.edge.capture.clip import read_clip
from secondlook.edge.capture.settings import CaptureSettings
from secondlook.shared.errors import InvalidInput, SourceError


def test_reads_a_clip_to_its_end(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", numbered(12), codec="mpeg4")
    assert [number_in(c.frame.image) for c in read_clip(str(clip))] == list(range(12))


def test_reads_some_frames_at_a_rate_and_stops(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered(40))
    found = [number_in(c.frame.image) for c in read_clip(str(clip), 5.0, 4)]
    assert found == [0, 2, 4, 6]


def test_an_endless_source_can_be_left() -> None:
    found = []
    for captured in read_clip("sim://street?size=320x192"):
        found.append(captured.frame.ref.sequence)
        if len(found) == 3:
            break
    assert found == [0, 1, 2]


def test_other_settings_are_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered(10))
    found = [c.media_s for c in read_clip(str(clip), settings=CaptureSettings(fps=2.0, slots=4))]
    assert found == [i / 2 for i in range(10)]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="max_frames is 0"):
        read_clip("sim://street", max_frames=0)
    with pytest.raises(InvalidInput, match="unknown scheme"):
        read_clip("gopher://clip")
    with pytest.raises(SourceError, match=r"none\.mp4.*No such file"):
        next(read_clip(str(tmp_path / "none.mp4")))


@pytest.mark.real_material
@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("bottle-detection.mp4", 8),
        ("one-by-one-person-detection.mp4", 28),
        ("highway.avi", 6),
    ],
)
def test_real_clips(material: Path, name: str, frames: int) -> None:
    found = list(read_clip(str(material / "clips" / name), analysis_fps=0.2))
    assert len(found) == frames
    media = [c.media_s for c in found]
    assert media == sorted(media)
    assert all(c.frame.image.std() > 5 for c in found)


@pytest.mark.real_material
def test_a_whole_real_clip_with_a_doubtful_header(material: Path) -> None:
    sequences = []
    media = []
    for captured in read_clip(str(material / "clips" / "highway.avi")):
        sequences.append(captured.frame.ref.sequence)
        media.append(captured.media_s)
    assert sequences == list(range(1699))
    assert media == sorted(media)
