"""Settings of the sinks."""

from __future__ import annotations

from pydantic import Field, field_validator

from secondlook.shared.settings import Section


class JsonLinesSettings(Section):
    """``[[sinks.jsonl]]``: one line of JSON for each answer and each revision."""

    path: str = Field(
        "-",
        min_length=1,
        description="File to append to; `-` is standard output; `{camera}` makes one per camera.",
    )
    revisions: bool = Field(True, description="Whether revisions are written, or answers only.")


class VideoSettings(Section):
    """``[[sinks.video]]``: the camera's picture with the answers that stood in the end."""

    path: str = Field(
        min_length=1, description="MP4 file to write; `{camera}` is replaced by the camera's id."
    )
    delay_s: float = Field(
        3.0, ge=0, le=60, description="Frames wait this long for revisions, seconds of the stream."
    )
    max_frames: int = Field(
        120, ge=1, le=2000, description="Most frames that wait; the oldest is written before."
    )
    max_width_px: int = Field(960, ge=64, le=4096, description="Wider frames are shrunk to this.")
    fps: float = Field(
        0.0, ge=0, le=240, description="Frames a second of the video; 0: as the stream's times say."
    )

    @field_validator("path")
    @classmethod
    def _video_file(cls, path: str) -> str:
        if not path.endswith((".mp4", ".mkv")):
            raise ValueError("a path that ends with .mp4 or .mkv is expected")
        return path


class SinkSettings(Section):
    """``[sinks]``: where answers go."""

    jsonl: tuple[JsonLinesSettings, ...] = Field((), description="Files of JSON lines.")
    video: tuple[VideoSettings, ...] = Field((), description="Annotated videos.")
    queue: int = Field(
        256, ge=1, le=65_536, description="Events that wait for a slow sink; then the oldest goes."
    )
