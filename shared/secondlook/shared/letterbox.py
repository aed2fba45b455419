"""How an image of any size lies in a network's input of one size, and the way back.

The image is scaled to fit, keeping its shape (or stretched), and the rest is padding::

    +---------------+      +---------------+
    |     pad       |      |     image     |
    +---------------+      |               |
    |     image     |      +---------------+
    +---------------+      |     pad       |
    |     pad       |      |               |
    +---------------+      +---------------+
         CENTRED                TOP_LEFT
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.shared.geometry import Boxes
from secondlook.shared.values.frame import check_size

Pixels = npt.NDArray[np.uint8]
"""uint8 (height, width, 3)."""

PAD = 114
"""The grey that YOLOX and ultralytics networks were trained with."""


class Fit(str, Enum):
    """Where the image lies."""

    TOP_LEFT = "topleft"
    """Scaled to fit, in the top-left corner (YOLOX)."""

    CENTRED = "centred"
    """Scaled to fit, in the middle (ultralytics)."""

    STRETCH = "stretch"
    """Stretched over the whole input (RT-DETR)."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The place of one image in one input.

    Attributes:
        source_width, source_height: size of the image, pixels.
        width, height: size of the network's input, pixels.
        left, top: corner of the scaled image in the input, pixels.
        inner_width, inner_height: size of the scaled image, pixels; at least 1.
    """

    source_width: int
    source_height: int
    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    @classmethod
    def fit(
        cls, source_width: int, source_height: int, width: int, height: int, fit: Fit
    ) -> Letterbox:
        """Place an image of the source's size in an input of ``width`` x ``height``.

        Raises:
            InvalidInput: a size that no image has.
        """
        check_size(source_width, source_height)
        check_size(width, height, "network input")
        if fit is Fit.STRETCH:
            inner_width, inner_height = width, height
        else:
            scale = min(width / source_width, height / source_height)
            inner_width = min(width, max(1, round(source_width * scale)))
            inner_height = min(height, max(1, round(source_height * scale)))
        centred = fit is Fit.CENTRED
        return cls(
            source_width=source_width,
            source_height=source_height,
            width=width,
            height=height,
            left=(width - inner_width) // 2 if centred else 0,
            top=(height - inner_height) // 2 if centred else 0,
            inner_width=inner_width,
            inner_height=inner_height,
        )

    @property
    def scale_x(self) -> float:
        """Input pixels per source pixel, across."""
        return self.inner_width / self.source_width

    @property
    def scale_y(self) -> float:
        """Input pixels per source pixel, down."""
        return self.inner_height / self.source_height

    @property
    def rows(self) -> slice:
        """The rows of the input that hold the image."""
        return slice(self.top, self.top + self.inner_height)

    @property
    def columns(self) -> slice:
        """The columns of the input that hold the image."""
        return slice(self.left, self.left + self.inner_width)

    def scale_into(self, image: Pixels, out: Pixels) -> None:
        """Scale ``image`` straight into ``out``: one pass, nothing in between.

        Args:
            image: uint8 (source_height, source_width, 3); not written to.
            out: uint8 (inner_height, inner_width, 3), may be a view of a larger buffer.
        """
        if image.shape == out.shape:
            np.copyto(out, image)
        else:
            cv2.resize(
                image, (self.inner_width, self.inner_height), out, interpolation=cv2.INTER_LINEAR
            )

    def draw(self, image: Pixels, out: Pixels, pad: int = PAD, *, repaint: bool = True) -> None:
        """Write the whole input: the image and the padding around it.

        Args:
            image: uint8 (source_height, source_width, 3); not written to.
            out: uint8 (height, width, 3), such as one row of a batch buffer.
            pad: value of the padding, 0 to 255.
            repaint: paint the padding; ``False`` where ``out`` already holds that of an image
                in the same place.
        """
        if repaint:
            out[: self.top] = pad
            out[self.top + self.inner_height :] = pad
            out[self.rows, : self.left] = pad
            out[self.rows, self.left + self.inner_width :] = pad
        self.scale_into(image, out[self.rows, self.columns])

    def to_source(self, boxes: Boxes) -> Boxes:
        """Boxes of the input as boxes of the image, clipped to it.

        Args:
            boxes: float32 (n, 4), xyxy, input pixels.

        Returns:
            float32 (n, 4), xyxy, source pixels; a new array.
        """
        placed = boxes - np.array([self.left, self.top, self.left, self.top], np.float32)
        # Clipped before it is scaled: a hostile network's 1e38 would overflow.
        inner = [self.inner_width, self.inner_height, self.inner_width, self.inner_height]
        np.clip(placed, 0, np.array(inner, np.float32), out=placed)
        across, down = 1 / self.scale_x, 1 / self.scale_y
        placed *= np.array([across, down, across, down], np.float32)
        limit = [self.source_width, self.source_height, self.source_width, self.source_height]
        clipped: Boxes = np.minimum(placed, np.array(limit, np.float32), out=placed)
        return clipped

    def to_input(self, boxes: Boxes) -> Boxes:
        """Boxes of the image as boxes of the input.

        Args:
            boxes: float32 (n, 4), xyxy, source pixels.

        Returns:
            float32 (n, 4), xyxy, input pixels; a new array.
        """
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        placed: Boxes = boxes * scale
        placed += np.array([self.left, self.top, self.left, self.top], np.float32)
        return placed
