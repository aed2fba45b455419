"""A frame that is looked at whole: what was answered, and what that turns out to have missed.

What is kept depends neither on the history of frames nor on the scene, so that a look that waited
on disk is scored like any other. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.protocol import FrameEvidence
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical, each_alone
from secondlook.shared.geometry import Boxes
from secondlook.shared.trust import lowest_risk
from secondlook.shared.values import Detections, FrameRef


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A frame that is looked at whole.

    Attributes:
        frame: which.
        published: the answer before anything was asked.
        boxes: float32 (n, 4), the candidates that have a risk.
        risks: float64 (n,), above 0 and at most 1.
        by_coin: whether the coin chose it, be it that it goes in any case.
        since_s: monotonic time.
    """

    frame: FrameRef
    published: Detections
    boxes: Boxes
    risks: npt.NDArray[np.float64]
    by_coin: bool
    since_s: float

    @classmethod
    def at(
        cls,
        frame: FrameRef,
        published: Detections,
        evidence: FrameEvidence,
        *,
        by_coin: bool,
        now_s: float,
    ) -> Look:
        """The look at a frame that is answered now (monotonic time)."""
        risks = np.clip(np.nan_to_num(evidence.loss, posinf=1.0), 0.0, 1.0)
        rows = risks > 0
        return cls(frame, published, evidence.boxes[rows], risks[rows], by_coin, now_s)

    def score(
        self, heavy: Detections, interest: frozenset[str] | None, settings: PipelineSettings
    ) -> float:
        """The lowest risk of what the answer missed: see `secondlook.shared.trust.lowest_risk`.

        Args:
            heavy: what the heavy model sees in the whole frame.
            interest: class names that count; ``None``: all.
            settings: which of its boxes count, and what would be sent of a candidate.
        """
        if interest is not None:
            heavy = heavy.of_classes(interest)
        heavy = heavy.select(np.flatnonzero(heavy.scores >= settings.fusion.verdict_score))
        size, width = self.frame, settings.regions.canonical_width_px
        regions = each_alone(
            self.boxes, Canonical.of(size.width, size.height, width), settings.regions
        )
        return lowest_risk(self.published, heavy, regions, self.risks)
