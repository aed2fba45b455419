"""From uncertain boxes to one small picture."""

from secondlook.edge.regions.layout import (
    Canonical,
    each_alone,
    regions_alone,
    regions_around,
)
from secondlook.edge.regions.mosaic import Mosaic, MosaicEncoder
from secondlook.edge.regions.shelves import pack

__all__ = [
    "Canonical",
    "Mosaic",
    "MosaicEncoder",
    "each_alone",
    "pack",
    "regions_alone",
    "regions_around",
]
