"""The stateless carrier: all regions packed in one still picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier.cost import Cost
from secondlook.edge.carrier.protocol import Carried
from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions.layout import Canonical
from secondlook.edge.regions.mosaic import MosaicEncoder
from secondlook.shared.values import CanvasUpdate, Region
from secondlook.shared.values.canvas import BLOCK_PX


class MosaicCarrier:
    """`MosaicEncoder` as a `Carrier`.

    Args:
        settings: codec and quality.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._encoder = MosaicEncoder(settings)
        self._cost = Cost(fixed_bytes=200.0, unit_bytes=45.0)

    def encode(
        self,
        image: npt.NDArray[np.uint8],
        regions: tuple[Region, ...],
        frame: Canonical,
        max_bytes: int,
    ) -> Carried:
        """See `Carrier.encode`."""
        mosaic = self._encoder.encode(image, regions, frame, max_bytes)
        self._cost.learn(_blocks(regions, frame), len(mosaic.image))
        return Carried(
            mosaic.image,
            mosaic.encoding,
            mosaic.placements,
            mosaic.copied_bytes,
            quality=mosaic.quality,
        )

    def aim(self, side_px: float) -> None:
        """Quality is constant: what few pixels a mosaic has are worth their bytes."""

    def lost(self, update: CanvasUpdate | None) -> None:
        """Nothing builds on a mosaic."""

    def estimate(self, regions: tuple[Region, ...], frame: Canonical) -> int:
        """See `Carrier.estimate`."""
        return self._cost.of(_blocks(regions, frame))


def _blocks(regions: tuple[Region, ...], frame: Canonical) -> int:
    sizes = (frame.size_of(region) for region in regions)
    return sum(-(-width // BLOCK_PX) * -(-height // BLOCK_PX) for width, height in sizes)
