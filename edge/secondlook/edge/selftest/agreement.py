"""How well answers agree with the heavy model, and what they would have been otherwise. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from secondlook.edge.fusion import Entry, compose
from secondlook.edge.gate.risk import Risk
from secondlook.edge.pipeline_settings import FusionSettings
from secondlook.shared.geometry import Boxes, coverage
from secondlook.shared.measure import Metric
from secondlook.shared.trust.scoring import COVERED
from secondlook.shared.values import Detections

Assess = Callable[[Entry], Risk]
"""How likely the boxes of a frame are right, given what is believed about its tracks."""

_SPOKEN = 0.9
"""Share of a box that regions must show for a verdict to speak about it."""


def agreement(answer: Detections, heavy: Detections, interest: frozenset[str] | None) -> float:
    """F1 score of one frame, 0 to 1; 1 where nothing is there and nothing is said.

    Args:
        answer: what was said.
        heavy: what the heavy model sees.
        interest: class names that count; ``None``: all.
    """
    classes = None if interest is None else tuple(sorted(interest))
    return Metric(classes).compare(answer, heavy).f1


def edge_alone(
    entry: Entry, assess: Assess, names: tuple[str, ...], settings: FusionSettings
) -> Detections:
    """The answer to a frame as if no verdict had ever come.

    Args:
        entry: the frame.
        assess: how likely its boxes are right.
        names: class names known now.
        settings: what is published.
    """
    blank = replace(entry, beliefs={}, unseen=[], corrected={}, between={}, doubles=set())
    return compose(blank, assess(blank).right, names, settings)[0]


def put_right(answer: Detections, heavy: Detections, regions: Boxes) -> Detections:
    """An answer after a verdict on some regions.

    Args:
        answer: before it.
        heavy: what the heavy model sees in the whole frame.
        regions: float32 (n, 4), what it would have been shown.

    Returns:
        In the regions what the heavy model says, elsewhere the answer.
    """
    if not len(regions):
        return answer
    silent = coverage(answer.boxes, regions).max(axis=1, initial=0) < _SPOKEN
    shown = coverage(heavy.boxes, regions).max(axis=1, initial=0) >= COVERED
    names = tuple(dict.fromkeys((*answer.names, *heavy.names)))
    said = [answer.select(np.flatnonzero(silent)), heavy.select(np.flatnonzero(shown))]
    return Detections.concatenate([one.renamed(names) for one in said], names)
