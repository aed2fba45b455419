"""Regions of a frame as one encoded picture: each pixel copied once, one encode."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions.layout import Canonical
from secondlook.edge.regions.shelves import pack
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding, Placement, Region

_GREY = 114
"""Between the regions: what letterboxed models have seen around their pictures."""
_LOWER_QUALITY = (50, 30, 15, 5)
"""Tried in turn where a picture is larger than its budget."""

_CODECS = {
    ImageEncoding.WEBP: (".webp", cv2.IMWRITE_WEBP_QUALITY),
    ImageEncoding.JPEG: (".jpg", cv2.IMWRITE_JPEG_QUALITY),
}


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Regions, encoded.

    Attributes:
        image: the encoded picture.
        encoding: its codec.
        placements: where each region lies in it.
        copied_bytes: pixels written on the way to the encoder, bytes.
        quality: of the codec, as it was used in the end.
    """

    image: bytes
    encoding: ImageEncoding
    placements: tuple[Placement, ...]
    copied_bytes: int
    quality: int


class MosaicEncoder:
    """Packs and encodes the regions of frames; keeps its canvas. Not safe for concurrent use."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._encoding = ImageEncoding(settings.encoding)
        self._canvas: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def encode(
        self,
        image: npt.NDArray[np.uint8],
        regions: tuple[Region, ...],
        frame: Canonical,
        max_bytes: int,
    ) -> Mosaic:
        """One picture that holds ``regions`` of ``image``.

        Args:
            image: uint8 (height, width, 3), BGR, the native frame; not written to.
            regions: inside the frame, at least one.
            frame: the frame's size and its canonical size.
            max_bytes: quality goes down until the picture is no larger.

        Raises:
            InvalidInput: no region, or the picture is larger at the lowest quality too.
        """
        if not regions:
            raise InvalidInput("no regions to encode")
        sizes = [frame.size_of(region) for region in regions]
        whole = len(regions) == 1 and regions[0].xyxy == (
            0,
            0,
            frame.native_width,
            frame.native_height,
        )
        if whole and sizes[0] == (frame.native_width, frame.native_height):
            # The frame goes to the encoder as it is.
            itself = Placement(regions[0], 0, 0, *sizes[0])
            return self._encode(image, (itself,), self._settings.full_quality, max_bytes, 0)
        packing = pack(sizes, self._settings.grid_px)
        canvas = self._cleared(packing.width, packing.height)
        for region, (x, y), (width, height) in zip(regions, packing.corners, sizes, strict=True):
            left, top, right, bottom = region.xyxy
            pixels, place = image[top:bottom, left:right], canvas[y : y + height, x : x + width]
            if (width, height) == (region.width, region.height):
                place[:] = pixels
            else:
                place[:] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        placements = tuple(
            Placement(region, x, y, width, height)
            for region, (x, y), (width, height) in zip(regions, packing.corners, sizes, strict=True)
        )
        quality = self._settings.full_quality if whole else self._settings.quality
        copied = 3 * sum(width * height for width, height in sizes)
        return self._encode(canvas, placements, quality, max_bytes, copied)

    def _cleared(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """A grey canvas of that size, from the same memory each time."""
        if self._canvas.size < 3 * width * height:
            self._canvas = np.empty(3 * width * height, np.uint8)
        canvas = self._canvas[: 3 * width * height].reshape(height, width, 3)
        canvas.fill(_GREY)
        return canvas

    def _encode(
        self,
        picture: npt.NDArray[np.uint8],
        placements: tuple[Placement, ...],
        quality: int,
        max_bytes: int,
        copied_bytes: int,
    ) -> Mosaic:
        extension, parameter = _CODECS[self._encoding]
        size = 0
        for value in (quality, *(lower for lower in _LOWER_QUALITY if lower < quality)):
            done, data = cv2.imencode(extension, picture, [parameter, value])
            if not done:
                raise InvalidInput(f"a picture of shape {picture.shape} cannot be encoded")
            size = len(data)
            if size <= max_bytes:
                return Mosaic(data.tobytes(), self._encoding, placements, copied_bytes, value)
        raise InvalidInput(f"the picture has {size} bytes, {max_bytes} are allowed")
