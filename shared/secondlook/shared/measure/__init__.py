"""How results are measured: matches, agreement, percentiles, bytes on the wire."""

from secondlook.shared.measure.matching import MATCH_IOU, UNMATCHED, Counts, Matching, match
from secondlook.shared.measure.metric import (
    ALL_CLASSES,
    DEDUPE_IOU,
    STREET_CLASSES,
    Metric,
    classes_of_interest,
    without_double_labels,
)
from secondlook.shared.measure.percentiles import Spread, spread
from secondlook.shared.measure.proxy import CountingProxy
from secondlook.shared.measure.traffic import Direction, SetupScanner, Traffic

__all__ = [
    "ALL_CLASSES",
    "DEDUPE_IOU",
    "MATCH_IOU",
    "STREET_CLASSES",
    "UNMATCHED",
    "CountingProxy",
    "Counts",
    "Direction",
    "Matching",
    "Metric",
    "SetupScanner",
    "Spread",
    "Traffic",
    "classes_of_interest",
    "match",
    "spread",
    "without_double_labels",
]
