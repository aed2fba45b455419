"""Where something was seen, how that place looked, and what the light model said."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.kinds.kind import EpochSeconds, Kind, Name, Score
from secondlook.shared.values.frame import MAX_SIDE_PX

MAX_LOOK_PIXELS = 16_384
_MAX_THUMBNAIL_PX = 1024

Pixel = Annotated[float, Field(ge=-MAX_SIDE_PX, le=2 * MAX_SIDE_PX)]
Box = Annotated[tuple[Pixel, Pixel, Pixel, Pixel], Field(strict=False)]
"""x1 y1 x2 y2, pixels of the native frame; may reach over its border."""


class Look(BaseModel):
    """A piece of a frame's thumbnail, grey, to tell whether a place still looks the same.

    Attributes:
        left: column of the thumbnail where the piece begins.
        top: row of the thumbnail where it begins.
        width: its columns.
        height: its rows.
        thumbnail_width: width of the whole thumbnail.
        thumbnail_height: height of the whole thumbnail.
        pixels: base64 of uint8 (height, width), rows from the top.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    thumbnail_width: int = Field(ge=1, le=_MAX_THUMBNAIL_PX)
    thumbnail_height: int = Field(ge=1, le=_MAX_THUMBNAIL_PX)
    pixels: str = Field(max_length=4 * -(-MAX_LOOK_PIXELS // 3))

    @classmethod
    def cut(
        cls, left: int, top: int, width: int, height: int, grey: bytes, whole: tuple[int, int]
    ) -> Self:
        """A piece with its pixels as bytes; ``whole``: width and height of the thumbnail."""
        return cls(
            left=left,
            top=top,
            width=width,
            height=height,
            thumbnail_width=whole[0],
            thumbnail_height=whole[1],
            pixels=base64.b64encode(grey).decode(),
        )

    def grey(self) -> bytes:
        """The pixels: uint8, ``height`` rows of ``width``."""
        return base64.b64decode(self.pixels)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        inside = self.left + self.width <= self.thumbnail_width
        if not (inside and self.top + self.height <= self.thumbnail_height):
            raise ValueError("the piece does not lie inside the thumbnail")
        try:
            size = len(base64.b64decode(self.pixels, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("pixels are not base64") from error
        if size != self.width * self.height:
            raise ValueError(f"{size} pixels; {self.width} x {self.height} expected")
        return self


class Place(Kind):
    """What was known about a place at one moment.

    Attributes:
        at_s: capture time of the frame, seconds since the Unix epoch.
        until_s: until when it holds, seconds since the Unix epoch.
        frame_width: width of the native frame, pixels.
        frame_height: height of the native frame, pixels.
        box: where, pixels of the native frame.
        look: how the place looked.
        edge_class: what the light model called it; ``None``: it saw nothing there.
        edge_score: the light model's score; 0 where it saw nothing.
        model: the heavy model that judged.
        model_version: its version; may be empty.
    """

    at_s: EpochSeconds
    until_s: EpochSeconds
    frame_width: int = Field(ge=1, le=MAX_SIDE_PX)
    frame_height: int = Field(ge=1, le=MAX_SIDE_PX)
    box: Box
    look: Look
    edge_class: Name | None = None
    edge_score: Score = 0.0
    model: Name
    model_version: str = Field(max_length=128)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until_s < self.at_s:
            raise ValueError("until_s lies before at_s")
        x1, y1, x2, y2 = self.box
        if x2 < x1 or y2 < y1:
            raise ValueError("box is inside out; x1 <= x2 and y1 <= y2 expected")
        return self
