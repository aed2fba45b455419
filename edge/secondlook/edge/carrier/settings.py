"""Settings of the canvas stream."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from secondlook.shared.settings import Section


class CanvasSettings(Section):
    """``[canvas]``: how the canvas of a camera is encoded."""

    quantiser: int = Field(
        27,
        ge=10,
        le=45,
        description="Constant quantiser of x264: 6 more are about half of the bytes.",
    )
    key_quantiser: int = Field(
        27,
        ge=10,
        le=45,
        description="Quantiser of key frames, on which everything later is laid.",
    )
    effort: Literal["quick", "good", "best"] = Field(
        "best",
        description="How thoroughly x264 looks. `good` takes 5 to 9 % more bytes than `best` in "
        "two thirds of its time, `quick` about 17 % more in less than half.",
    )
