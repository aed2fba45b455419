"""How results are measured: matches, agreement, percentiles, bytes on the wire, emulated links."""

from secondlook.shared.measure.bootstrap import BLOCK_S, Blocks, Interval
from secondlook.shared.measure.frontier import Needed, needed, upper_hull
from secondlook.shared.measure.link import LINKS, Link, link_named
from secondlook.shared.measure.link_proxy import LinkProxy
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
from secondlook.shared.measure.window import Passed, most_within

__all__ = [
    "ALL_CLASSES",
    "BLOCK_S",
    "DEDUPE_IOU",
    "LINKS",
    "MATCH_IOU",
    "STREET_CLASSES",
    "UNMATCHED",
    "Blocks",
    "CountingProxy",
    "Counts",
    "Direction",
    "Interval",
    "Link",
    "LinkProxy",
    "Matching",
    "Metric",
    "Needed",
    "Passed",
    "SetupScanner",
    "Spread",
    "Traffic",
    "classes_of_interest",
    "link_named",
    "match",
    "most_within",
    "needed",
    "spread",
    "upper_hull",
    "without_double_labels",
]
