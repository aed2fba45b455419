"""Which video encoder a canvas takes, on this machine."""

from __future__ import annotations

from functools import cache

from secondlook.edge.carrier.av1 import LEAST_SIDE_PX, Av1Encoder
from secondlook.edge.carrier.planes import PlanesEncoder
from secondlook.edge.carrier.x264 import X264Encoder
from secondlook.edge.pipeline_settings import CanvasSettings
from secondlook.shared.errors import MissingDependency
from secondlook.shared.values.canvas import VideoCodec

_WORTH_AV1_PX = 160_000
"""Canvases of fewer pixels are H.264 where nothing else is said: measured on 640 x 384 and on
640 x 360, AV1 takes half to three quarters of its bytes; on 320 x 240, as many."""


def new_encoder(
    width: int, height: int, settings: CanvasSettings
) -> tuple[VideoCodec, PlanesEncoder]:
    """An encoder for pictures of that size, and what it writes.

    Args:
        width, height: even, pixels.
        settings: quality, and which codec.

    Raises:
        MissingDependency: the codec that the settings name is not there, or none is.
    """
    wanted = settings.codec
    fits = min(width, height) >= LEAST_SIDE_PX
    if wanted == "auto":
        worth = width * height >= _WORTH_AV1_PX
        wanted = "av1" if has_av1() and (worth or not has_x264()) else "h264"
    if wanted == "av1" and fits:
        return VideoCodec.AV1, Av1Encoder(width, height, settings)
    return VideoCodec.H264, X264Encoder(width, height, settings)


@cache
def has_x264() -> bool:
    """Whether H.264 can be encoded here; tried once, for real."""
    try:
        X264Encoder(16, 16, CanvasSettings())
    except MissingDependency:
        return False
    return True


@cache
def has_av1() -> bool:
    """Whether AV1 can be encoded here; tried once, for real."""
    try:
        Av1Encoder(LEAST_SIDE_PX, LEAST_SIDE_PX, CanvasSettings())
    except MissingDependency:
        return False
    return True
