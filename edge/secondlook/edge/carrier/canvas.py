"""The carrier with state: what is asked is pasted into a frozen frame, and that is a video.

All that is not pasted stays as it was, and costs nothing but a skip: a region that is asked again
and has not changed is almost free, and so is a whole frame of a scene that stands still.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier.changes import Changes
from secondlook.edge.carrier.cost import Cost
from secondlook.edge.carrier.encoders import new_encoder
from secondlook.edge.carrier.planes import Planes, PlanesEncoder
from secondlook.edge.carrier.protocol import Carried
from secondlook.edge.pipeline_settings import CanvasSettings
from secondlook.edge.regions.layout import Canonical
from secondlook.shared.errors import InvalidInput, MissingDependency, SecondlookError
from secondlook.shared.values import CanvasUpdate, ImageEncoding, Placement, Region
from secondlook.shared.values.canvas import (
    BLOCK_PX,
    MAX_RECTANGLES,
    Blocks,
    VideoCodec,
    blocks_of,
    chained,
)
from secondlook.shared.values.escalation import canvas_placements

_REFERENCE_SIDE_PX = 64.0
"""Side of the objects for which the quantiser of the settings is meant, canonical pixels."""
_WORTH_A_KEY = 3
"""Least change of the quantiser for which a stream begins anew."""
_UPDATES_BETWEEN = 200
"""Least number of updates between two such changes."""
_KEY_BLOCK_BYTES = 35.0
"""What a block costs in a key frame; assumed until one was sent."""

Image = npt.NDArray[np.uint8]


class CanvasEncoder:
    """The canvas of one camera and its stream; see `Carrier` for what it keeps.

    Args:
        settings: quality.

    Raises:
        MissingDependency: PyAV is not installed.
    """

    def __init__(self, settings: CanvasSettings) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingDependency("PyAV", "edge") from error
        self._new_picture = av.VideoFrame.from_ndarray
        self._settings = settings
        self._frame: Canonical | None = None
        self._codec: PlanesEncoder | None = None
        self._kind = VideoCodec.H264
        self._planes: Planes = np.empty((0, 0), np.uint8)
        self._used = settings
        self._more = 0
        self._updates = 0
        self._epoch = 0
        self._check = 0
        self._changes = Changes(1, 1)
        self._cost = Cost(fixed_bytes=30.0, unit_bytes=1.5)
        self._key_block_bytes = _KEY_BLOCK_BYTES

    @property
    def needs_key(self) -> bool:
        """Whether the next update is a key frame."""
        return self._codec is None

    @property
    def planes(self) -> Planes:
        """The canvas as it was encoded last: Y, U and V, padded to even sides; not a copy."""
        return self._planes

    def encode(
        self, image: Image, regions: tuple[Region, ...], frame: Canonical, max_bytes: int
    ) -> Carried:
        """See `Carrier.encode`."""
        if not regions:
            raise InvalidInput("no regions to encode")
        if frame != self._frame:
            self._begin(frame)
        key = self._codec is None
        codec = self._codec or self._new_codec()
        rectangles = () if key else self._rectangles(regions, frame)
        update = CanvasUpdate(
            frame.width, frame.height, 0, key, rectangles, self._epoch, self._kind
        )
        placements = canvas_placements(update, (frame.native_width, frame.native_height))
        # Learned from the change that was foreseen, since the next one is foreseen the same way.
        work = self._changes.work(rectangles)
        copied = 0
        for placement in placements:
            self._paste(image, placement, learn=not key)
            copied += 3 * placement.width * placement.height
        try:
            unit = codec.encode(self._planes)
        except SecondlookError:
            self._codec = None
            raise
        self._check = chained(unit, 0 if key else self._check)
        update = replace(update, check=self._check)
        if len(unit) > max_bytes:
            # It is not sent, so that nothing may build on it.
            self._codec = None
            raise InvalidInput(f"the update has {len(unit)} bytes, {max_bytes} are allowed")
        if key:
            self._key_block_bytes = len(unit) / _blocks_in(frame)
        else:
            self._cost.learn(work, len(unit))
        self._updates += 1
        quality = self._used.key_quantiser if key else self._used.quantiser
        return Carried(unit, ImageEncoding(self._kind.value), placements, copied, update, quality)

    def aim(self, side_px: float) -> None:
        """See `Carrier.aim`."""
        settings = self._settings
        more = round(settings.size_slope * math.log2(max(side_px, 1.0) / _REFERENCE_SIDE_PX))
        wanted = max(-settings.size_span, min(settings.size_span, more))
        if self._codec is not None:
            # Another quantiser takes a new stream, and that a key frame.
            if abs(wanted - self._more) < _WORTH_A_KEY or self._updates < _UPDATES_BETWEEN:
                return
            self._codec = None
        self._more = wanted

    def lost(self, update: CanvasUpdate | None) -> None:
        """See `Carrier.lost`."""
        if update is not None and update.epoch == self._epoch:
            self._codec = None

    def estimate(self, regions: tuple[Region, ...], frame: Canonical) -> int:
        """See `Carrier.estimate`."""
        if self._codec is None or frame != self._frame:
            return round(_blocks_in(frame) * self._key_block_bytes)
        return self._cost.of(self._changes.work(self._rectangles(regions, frame)))

    def _new_codec(self) -> PlanesEncoder:
        """A stream of its own for each epoch: nothing before its key frame can reach into it."""
        rows, columns = self._planes.shape[0] * 2 // 3, self._planes.shape[1]
        self._used = self._settings.model_copy(
            update={
                "quantiser": self._settings.quantiser + self._more,
                "key_quantiser": self._settings.key_quantiser + self._more,
            }
        )
        self._kind, codec = new_encoder(columns, rows, self._used)
        self._codec = codec
        self._epoch += 1
        self._updates = 0
        return codec

    def _begin(self, frame: Canonical) -> None:
        """A canvas of another size: nothing of the old one is of use."""
        self._codec, self._frame = None, frame
        width, height = frame.width + frame.width % 2, frame.height + frame.height % 2
        self._planes = np.empty((height * 3 // 2, width), np.uint8)
        self._changes = Changes(frame.width, frame.height)

    def _rectangles(self, regions: tuple[Region, ...], frame: Canonical) -> tuple[Blocks, ...]:
        """The blocks of the regions; none where they are the whole frame."""
        native, canvas = (frame.native_width, frame.native_height), (frame.width, frame.height)
        found = dict.fromkeys(blocks_of(region, native, canvas) for region in regions)
        across, down = -(-frame.width // BLOCK_PX), -(-frame.height // BLOCK_PX)
        if (0, 0, across, down) in found or len(found) > MAX_RECTANGLES:
            return ()
        return tuple(found)

    def _paste(self, image: Image, place: Placement, *, learn: bool) -> None:
        """Write a region of the frame where it belongs on the canvas.

        Args:
            image: the native frame.
            place: the region, and where it belongs.
            learn: whether the canvas showed it before, so that its change says something.
        """
        left, top, right, bottom = place.region.xyxy
        pixels = image[top:bottom, left:right]
        rows, columns = self._planes.shape[0] * 2 // 3, self._planes.shape[1]
        x, y, across, down = place.x, place.y, place.width, place.height
        if (across, down) != (place.region.width, place.region.height):
            pixels = np.asarray(
                cv2.resize(pixels, (across, down), interpolation=cv2.INTER_AREA), np.uint8
            )
        if across % 2 or down % 2:
            pixels = np.asarray(
                cv2.copyMakeBorder(pixels, 0, down % 2, 0, across % 2, cv2.BORDER_REPLICATE),
                np.uint8,
            )
            across, down = across + across % 2, down + down % 2
        picture: Any = self._new_picture(np.ascontiguousarray(pixels), format="bgr24")
        part: Planes = picture.to_ndarray(format="yuv420p")
        luma = self._planes[y : y + down, x : x + across]
        if learn:
            self._changes.pasted(luma, part[:down], x, y)
        luma[:] = part[:down]
        # U and V are halves of both sides, each a run of its own behind Y.
        chroma = self._planes[rows:].reshape(2, rows // 2, columns // 2)
        chroma[:, y // 2 : (y + down) // 2, x // 2 : (x + across) // 2] = part[down:].reshape(
            2, down // 2, across // 2
        )


def _blocks_in(frame: Canonical) -> int:
    return -(-frame.width // BLOCK_PX) * -(-frame.height // BLOCK_PX)
