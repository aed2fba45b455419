"""Which carrier the settings mean, on this machine."""

from __future__ import annotations

from secondlook.edge.carrier.canvas import CanvasEncoder
from secondlook.edge.carrier.encoders import has_av1, has_x264
from secondlook.edge.carrier.mosaic import MosaicCarrier
from secondlook.edge.carrier.protocol import Carrier
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import MissingDependency


def make_carrier(settings: PipelineSettings, kind: str = "") -> Carrier:
    """The carrier of one camera.

    Args:
        settings: of its pipeline.
        kind: ``auto``, ``canvas`` or ``mosaic``; empty: ``regions.carrier`` of the settings.

    Raises:
        MissingDependency: a canvas is wanted, and PyAV with its encoder is not there.
    """
    wanted = kind or settings.regions.carrier
    codec = settings.canvas.codec
    able = {"auto": has_av1() or has_x264(), "av1": has_av1(), "h264": has_x264()}[codec]
    if wanted == "mosaic" or (wanted == "auto" and not able):
        return MosaicCarrier(settings.regions)
    if not able:
        encoder = "libsvtav1" if codec == "av1" else "libx264"
        raise MissingDependency(f"PyAV with {encoder}", "edge")
    return CanvasEncoder(settings.canvas)
