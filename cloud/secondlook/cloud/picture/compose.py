"""Regions back to their places in the frame, on the last known background of the camera.

The heavy model was trained on whole scenes: a region on the camera's background is judged better
than the same region on grey, and much better than a bare mosaic.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Escalation, Placement

GREY = 114
"""What detectors are trained to see as nothing."""

MAX_COVERAGE = 4
"""The regions of an escalation cover the frame, and the image, at most this many times."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The picture the heavy model looks at.

    Attributes:
        picture: uint8 (h, w, 3) BGR, the frame at some scale; not written to.
        scale_x, scale_y: pixels of the native frame per pixel of the picture.
        whole: it is the frame as it was sent, not composed from regions.
    """

    picture: Image
    scale_x: float
    scale_y: float
    whole: bool


def canonical_size(
    frame_width: int, frame_height: int, model_width: int, model_height: int
) -> tuple[int, int]:
    """The size of the frame fitted into the model's input; never larger than the frame."""
    scale = min(1.0, model_width / frame_width, model_height / frame_height)
    return max(1, round(frame_width * scale)), max(1, round(frame_height * scale))


def compose(
    asked: Escalation, image: Image, size: tuple[int, int], background: Image | None
) -> Scene:
    """Place the pixels of each region where they belong.

    A single region that covers the frame is used as it is, without a copy. Otherwise each pixel is
    written once into a fresh canvas: background, then the regions, resized straight into place.

    Args:
        asked: where the regions lie in the frame and in the image.
        image: uint8 (h, w, 3) BGR, decoded.
        size: width and height of the canvas, see `canonical_size`.
        background: uint8 BGR, the whole frame at any scale; ``None`` for grey.

    Raises:
        InvalidInput: a region's pixels lie outside the image, or regions overlap absurdly.
    """
    _check_placements(asked, image)
    if asked.whole_frame:
        picture = _cut(image, asked.placements[0])
        height, width = picture.shape[:2]
        return Scene(picture, asked.frame_width / width, asked.frame_height / height, True)
    width, height = size
    canvas = np.empty((height, width, 3), np.uint8)
    if background is None:
        canvas.fill(GREY)
    else:
        _fit(background, canvas)
    scale_x, scale_y = asked.frame_width / width, asked.frame_height / height
    for placement in asked.placements:
        left, top, right, bottom = placement.region.xyxy
        x1, x2 = _span(left / scale_x, right / scale_x, width)
        y1, y2 = _span(top / scale_y, bottom / scale_y, height)
        _fit(_cut(image, placement), canvas[y1:y2, x1:x2])
    return Scene(canvas, scale_x, scale_y, False)


def shrink_to(picture: Image, size: tuple[int, int]) -> Image:
    """``picture`` itself where it fits in ``size`` (width, height), else a smaller one."""
    if picture.shape[1] <= size[0] and picture.shape[0] <= size[1]:
        return picture
    target = np.empty((size[1], size[0], 3), np.uint8)
    _fit(picture, target)
    return target


def _check_placements(asked: Escalation, image: Image) -> None:
    height, width = image.shape[:2]
    for place in asked.placements:
        if place.x + place.width > width or place.y + place.height > height:
            raise InvalidInput(
                f"region ending at {place.x + place.width},{place.y + place.height} "
                f"leaves the image of {width}x{height}"
            )
    # 256 regions of a whole frame each would be 256 times the work of one.
    if (
        sum(place.region.area for place in asked.placements)
        > MAX_COVERAGE * asked.frame_width * asked.frame_height
        or sum(place.width * place.height for place in asked.placements)
        > MAX_COVERAGE * width * height
    ):
        raise InvalidInput(f"regions overlap: they cover the picture over {MAX_COVERAGE} times")


def _cut(image: Image, place: Placement) -> Image:
    if (place.width, place.height) == (image.shape[1], image.shape[0]):
        return image
    return image[place.y : place.y + place.height, place.x : place.x + place.width]


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Whole pixels from ``start`` to ``end``, at least one, inside ``limit``."""
    first = min(round(start), limit - 1)
    return first, max(first + 1, min(round(end), limit))


def _fit(source: Image, target: Image) -> None:
    """Write ``source`` into ``target``, resized if need be, without a buffer between."""
    if source.shape == target.shape:
        np.copyto(target, source)
        return
    height, width = target.shape[:2]
    shrinks = width < source.shape[1] or height < source.shape[0]
    cv2.resize(
        source,
        (width, height),
        dst=target,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
