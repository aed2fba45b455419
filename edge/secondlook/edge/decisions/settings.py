"""Settings of the decision log, and of what is made unrecognisable before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.edge.state import kept_at
from secondlook.shared.settings import Section

FOLDER_NAME = "decisions"


class DecisionSettings(Section):
    """``[decisions]``: why each frame was or was not sent, for `explain` and `replay`."""

    enabled: bool = Field(True, description="Whether decisions are logged.")
    folder: Path | None = Field(
        None,
        description=f"Folder of the log, one inside it for each camera; default: `{FOLDER_NAME}` "
        "where `memory.path` is by default.",
    )
    max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=256 * 1024,
        le=1024**4,
        description="Most that the decisions of one camera take; then the oldest file goes.",
    )
    rotate_bytes: int = Field(
        4 * 1024 * 1024,
        ge=16 * 1024,
        le=1024**3,
        description="Size from which a new file is begun.",
    )
    rotate_s: float = Field(
        3600.0, ge=1, le=31_536_000, description="Age from which a new file is begun, seconds."
    )
    flush_s: float = Field(
        2.0,
        ge=0.05,
        le=600,
        description="Decisions are gathered for this long before they are written, seconds: what "
        "is lost where the process is killed.",
    )
    queue: int = Field(
        1024, ge=16, le=65_536, description="Records that wait for a slow disk; more are dropped."
    )
    pictures: Literal["none", "thumbnails", "sent"] = Field(
        "thumbnails",
        description="Pictures kept for `explain`: none, small ones of the frames, or the sent "
        "pictures too (stills only: an update of a canvas shows nothing alone).",
    )
    picture_width_px: int = Field(
        320, ge=32, le=1920, description="Width of the small pictures of frames."
    )
    picture_every_s: float = Field(
        2.0,
        ge=0,
        le=86_400,
        description="Least time between two small pictures, seconds of the stream.",
    )
    picture_bytes: int = Field(
        32 * 1024 * 1024,
        ge=256 * 1024,
        le=1024**4,
        description="Most that the pictures of one camera take; then the oldest go.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.rotate_bytes > self.max_bytes:
            raise ValueError("rotate_bytes must not be larger than max_bytes")
        return self


def decisions_folder(settings: DecisionSettings, environ: Mapping[str, str]) -> Path:
    """Where the log is.

    Raises:
        InvalidConfig: the settings do not say, and there is no home directory.
    """
    return kept_at(
        settings.folder, FOLDER_NAME, environ, what="log decisions", setting="decisions.folder"
    )
