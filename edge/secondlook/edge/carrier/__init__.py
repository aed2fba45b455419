"""How regions of a frame travel: as one picture of their own, or as updates of a canvas."""

from secondlook.edge.carrier.canvas import CanvasEncoder
from secondlook.edge.carrier.making import make_carrier
from secondlook.edge.carrier.mosaic import MosaicCarrier
from secondlook.edge.carrier.protocol import Carried, Carrier
from secondlook.edge.pipeline_settings import CanvasSettings

__all__ = [
    "CanvasEncoder",
    "CanvasSettings",
    "Carried",
    "Carrier",
    "MosaicCarrier",
    "make_carrier",
]
