"""The picture of an explanation: what was seen, what was asked, what left the site."""

from __future__ import annotations

import io

import cv2
import imagesize
import numpy as np
import numpy.typing as npt

from secondlook.edge.decisions.explanation import Explanation
from secondlook.edge.decisions.records import PictureRecord
from secondlook.shared.errors import InvalidInput

Image = npt.NDArray[np.uint8]

COLOURS = {
    "asked": (40, 140, 255),
    "left out": (70, 70, 230),
    "waits": (60, 220, 240),
    "known": (230, 160, 60),
    "confident": (80, 200, 80),
    "of no interest": (150, 150, 150),
}
"""BGR of each fate of a candidate."""
REGION_COLOUR = (255, 255, 255)
"""BGR: the border of what left the site, or was to."""

_WIDTH_PX = 960
_MAX_SIDE_PX = 4096
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE_PX = 18
_LABELS = 12


def draw_explanation(said: Explanation, kept: PictureRecord | None, frames_ago: int = 0) -> Image:
    """The frame with its candidates and regions, and what was decided in words beneath.

    Args:
        said: the explanation.
        kept: a small picture of this frame or an earlier one; grey where there is none.
        frames_ago: how many frames earlier it is.

    Returns:
        uint8 (height, width, 3), BGR.
    """
    width, height = said.size
    across = min(_WIDTH_PX, max(width, _WIDTH_PX // 2))
    scale = across / width
    down = max(1, min(_MAX_SIDE_PX, round(height * scale)))
    picture = _background(kept, across, down)
    for left, top, wide, high in said.regions:
        cv2.rectangle(
            picture,
            (round(left * scale), round(top * scale)),
            (round((left + wide) * scale) - 1, round((top + high) * scale) - 1),
            REGION_COLOUR,
            1,
        )
    # The least loss first, so that what matters lies on top; in a crowd the rest has no label.
    for rank, one in reversed(list(enumerate(said.candidates))):
        left, top, right, bottom = (round(value * scale) for value in one.box)
        colour = COLOURS[one.fate]
        matters = one.fate in ("asked", "left out")
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2 if matters else 1)
        if rank >= _LABELS and not matters:
            continue
        label = f"{one.name or 'place'} {one.right:.2f}"
        place = (left, top - 4 if top > 14 else bottom + 12)
        cv2.putText(picture, label, place, _FONT, 0.4, colour, 1, cv2.LINE_AA)
    return np.concatenate([picture, _words(said, across, kept is not None, frames_ago)])


def encoded_png(picture: Image) -> bytes:
    """The picture as a PNG file."""
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise InvalidInput(f"a picture of shape {picture.shape} cannot be encoded")
    return data.tobytes()


def _background(kept: PictureRecord | None, across: int, down: int) -> Image:
    grey = np.full((down, across, 3), 60, np.uint8)
    if kept is None or not isinstance(kept.data, bytes):
        return grey
    # Told by its header before it is decoded: what is in a file may be anything.
    width, height = imagesize.get(io.BytesIO(kept.data))
    if not (0 < width <= _MAX_SIDE_PX and 0 < height <= _MAX_SIDE_PX):
        return grey
    decoded = cv2.imdecode(np.frombuffer(kept.data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        return grey
    return np.asarray(cv2.resize(decoded, (across, down)), np.uint8)


def _words(said: Explanation, across: int, has_picture: bool, frames_ago: int) -> Image:
    """A strip with the headline, the reasons, and what the colours mean."""
    lines = [f"{said.camera} {said.sequence}: {said.headline}", *said.reasons[:3]]
    if not has_picture:
        lines.append("no picture of it was kept")
    elif frames_ago:
        lines.append(f"the picture is of {frames_ago} frames earlier")
    strip = np.full((_LINE_PX * (len(lines) + 1) + 10, across, 3), 30, np.uint8)
    for number, line in enumerate(lines, 1):
        shown = line.encode("ascii", "replace").decode()
        cv2.putText(
            strip, shown, (8, _LINE_PX * number), _FONT, 0.42, (235, 235, 235), 1, cv2.LINE_AA
        )
    at = 8
    for fate in [fate for fate in COLOURS if any(one.fate == fate for one in said.candidates)]:
        place = (at, _LINE_PX * (len(lines) + 1))
        cv2.putText(strip, fate, place, _FONT, 0.42, COLOURS[fate], 1, cv2.LINE_AA)
        at += 16 + cv2.getTextSize(fate, _FONT, 0.42, 1)[0][0]
    return strip
