"""One question to the cloud: regions of a frame packed in one encoded image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from secondlook.shared.errors import InvalidInput
from secondlook.shared.values.canvas import CanvasUpdate, native_region
from secondlook.shared.values.decision import Purpose, Region
from secondlook.shared.values.frame import check_size

MAX_REGIONS = 256
MAX_REQUEST_ID_BYTES = 64
MAX_CAMERA_BYTES = 128


class ImageEncoding(str, Enum):
    """How the image of an escalation is encoded."""

    JPEG = "jpeg"
    WEBP = "webp"
    PNG = "png"
    H264 = "h264"
    """An access unit of a canvas stream; means nothing without those before it."""
    AV1 = "av1"
    """Likewise."""


VIDEO_ENCODINGS = frozenset((ImageEncoding.H264, ImageEncoding.AV1))
"""Those of updates of a canvas."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pixels of a region lie in the image that is sent.

    Attributes:
        region: the rectangle of the native frame.
        x, y: top-left corner in the image, pixels.
        width, height: size in the image, pixels; smaller than the region's where it was scaled.

    Raises:
        InvalidInput: a negative corner or an empty size.
    """

    region: Region
    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise InvalidInput(
                f"placement {self.width}x{self.height}+{self.x}+{self.y} is empty or negative"
            )


@dataclass(frozen=True, slots=True)
class Escalation:
    """A request to the cloud.

    Attributes:
        request_id: unique, chosen by the edge; printable ASCII, 1 to 64 bytes.
        camera: id of the camera, 1 to 128 bytes of printable UTF-8.
        sequence: the frame asked about.
        captured_at: wall clock of the capture, seconds since the Unix epoch.
        frame_width: width of the native frame, pixels.
        frame_height: height of the native frame, pixels.
        image: the encoded picture that holds the pixels of all regions.
        encoding: how it is encoded.
        placements: 1 to 256 regions and where they lie in the image.
        purpose: why the cloud is asked.
        useful_for_s: for how long an answer is useful; ``None``: as long as the call's deadline.
        min_score: boxes below are not wanted; 0 for the model's default.
        model: name of the model; empty for the service's default.
        canvas: where in its stream an update of a canvas belongs; ``None`` for a mosaic.

    Raises:
        InvalidInput: a field is outside the limits above, or a region leaves the frame.
    """

    request_id: str
    camera: str
    sequence: int
    captured_at: float
    frame_width: int
    frame_height: int
    image: bytes
    encoding: ImageEncoding
    placements: tuple[Placement, ...]
    purpose: Purpose = Purpose.UNSURE
    useful_for_s: float | None = None
    min_score: float = 0.0
    model: str = ""
    canvas: CanvasUpdate | None = None

    def __post_init__(self) -> None:
        check_name(self.request_id, "request_id", MAX_REQUEST_ID_BYTES)
        if not self.request_id.isascii():
            raise InvalidInput("request_id holds characters that are not ASCII")
        check_name(self.camera, "camera", MAX_CAMERA_BYTES)
        if self.model:
            check_name(self.model, "model", MAX_CAMERA_BYTES)
        if not 0 <= self.sequence < 2**63:
            raise InvalidInput(f"frame_sequence is {self.sequence}; 0 to 2^63 - 1 expected")
        check_size(self.frame_width, self.frame_height, "frame_size")
        if not self.image:
            raise InvalidInput("image is empty")
        if not 1 <= len(self.placements) <= MAX_REGIONS:
            raise InvalidInput(f"{len(self.placements)} regions; 1 to {MAX_REGIONS} expected")
        if not (math.isfinite(self.min_score) and 0 <= self.min_score <= 1):
            raise InvalidInput(f"min_score is {self.min_score}; 0 to 1 expected")
        if self.useful_for_s is not None and not 0 < self.useful_for_s < 86_400:
            raise InvalidInput(f"useful_for is {self.useful_for_s} s; 0 to 86400 expected")
        codec = None if self.canvas is None else self.canvas.codec.value
        if self.encoding.value != codec and (codec or self.encoding in VIDEO_ENCODINGS):
            raise InvalidInput(
                f"encoding {self.encoding.value}: a canvas, and it alone, is {codec or 'video'}"
            )
        for placement in self.placements:
            _, _, right, bottom = placement.region.xyxy
            if right > self.frame_width or bottom > self.frame_height:
                raise InvalidInput(
                    f"region ending at {right},{bottom} leaves the frame of "
                    f"{self.frame_width}x{self.frame_height}"
                )

    @property
    def regions(self) -> tuple[Region, ...]:
        """The rectangles of the native frame that are asked about."""
        return tuple(placement.region for placement in self.placements)

    @property
    def whole_frame(self) -> bool:
        """Whether one region covers the whole frame."""
        return len(self.placements) == 1 and self.placements[0].region.xyxy == (
            0,
            0,
            self.frame_width,
            self.frame_height,
        )


def canvas_placements(update: CanvasUpdate, frame: tuple[int, int]) -> tuple[Placement, ...]:
    """The regions of an update, each where it lies on the canvas.

    Args:
        update: what has changed.
        frame: width and height of the native frame.
    """
    canvas = update.width, update.height
    return tuple(
        Placement(native_region(pixels, frame, canvas), *pixels) for pixels in update.pixels()
    )


def check_name(name: str, what: str, limit: int) -> None:
    """Refuse a name that is empty, too long, or not printable.

    Raises:
        InvalidInput: names ``what``.
    """
    size = len(name.encode(errors="replace"))
    if not 1 <= size <= limit:
        raise InvalidInput(f"{what} has {size} bytes; 1 to {limit} expected")
    if not name.isprintable():
        raise InvalidInput(f"{what} holds a character that is not printable")
