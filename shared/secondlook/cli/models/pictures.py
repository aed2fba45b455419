"""Pictures to calibrate and to measure on: from folders, clips, or anything the edge can open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from secondlook.cli.price.clip import open_clip
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import InvalidInput

LEAST = 2
"""One picture to calibrate on, and another to measure on."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures, none in both parts.

    Attributes:
        calibration: the network's ranges are learned on these.
        held_out: the agreement is measured on these.
    """

    calibration: Sequence[Image]
    held_out: Sequence[Image]


async def read_pictures(
    sources: Sequence[str], *, fps: float, count: int, on_picture: Callable[[int], None]
) -> Pictures:
    """Read pictures, and deal them out in turns.

    Args:
        sources: folders of images, clips, streams.
        fps: pictures a second of a clip's own time; of a folder every image is one.
        count: most pictures of each source.
        on_picture: told how many there are so far.

    Raises:
        InvalidInput: a source can never work, or there are too few pictures.
        SourceError: one cannot be opened or decoded.
    """
    found: list[Image] = []
    for source in sources:
        every = 0.0 if await anyio.Path(source).is_dir() else fps
        async with open_clip(source, every, count) as frames:
            async for captured in frames:
                found.append(captured.frame.image)
                on_picture(len(found))
    if len(found) < LEAST:
        raise InvalidInput(
            f"{', '.join(sources)}: {len(found)} pictures; at least {LEAST} are needed, one to "
            "calibrate on and another to measure on",
            remedy="give more images, or a higher --fps",
        )
    return Pictures(found[0::2], found[1::2])
