"""Which carrier the settings mean, on this machine."""

from __future__ import annotations

from functools import cache

from secondlook.edge.carrier.canvas import CanvasEncoder
from secondlook.edge.carrier.mosaic import MosaicCarrier
from secondlook.edge.carrier.protocol import Carrier
from secondlook.edge.carrier.x264 import X264Encoder
from secondlook.edge.pipeline_settings import CanvasSettings, PipelineSettings
from secondlook.shared.errors import MissingDependency


def make_carrier(settings: PipelineSettings, kind: str = "") -> Carrier:
    """The carrier of one camera.

    Args:
        settings: of its pipeline.
        kind: ``auto``, ``canvas`` or ``mosaic``; empty: ``regions.carrier`` of the settings.

    Raises:
        MissingDependency: a canvas is wanted, and PyAV with x264 is not there.
    """
    wanted = kind or settings.regions.carrier
    if wanted == "mosaic" or (wanted == "auto" and not has_x264()):
        return MosaicCarrier(settings.regions)
    if not has_x264():
        raise MissingDependency("PyAV with libx264", "edge")
    return CanvasEncoder(settings.canvas)


@cache
def has_x264() -> bool:
    """Whether a canvas can be encoded here; tried once, for real."""
    try:
        X264Encoder(16, 16, CanvasSettings())
    except MissingDependency:
        return False
    return True
