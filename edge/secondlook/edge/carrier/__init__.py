"""How regions of a frame travel: as one picture of their own, or as updates of a canvas."""

from secondlook.edge.carrier.canvas import CanvasEncoder
from secondlook.edge.carrier.mosaic import MosaicCarrier
from secondlook.edge.carrier.protocol import Carried, Carrier
from secondlook.edge.carrier.settings import CanvasSettings

__all__ = ["CanvasEncoder", "CanvasSettings", "Carried", "Carrier", "MosaicCarrier"]
