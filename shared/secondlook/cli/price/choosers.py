"""Other gates before the same pipeline and carrier: one that asks at random, one that knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from secondlook.cli.price.system import Shot
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical, regions_around
from secondlook.shared.measure import UNMATCHED, Metric, match
from secondlook.shared.values import Decision, FrameRef, Observation, Purpose, Region

_BACKGROUND_S = 300.0
_SPREAD_FRAMES = 4
"""A question of ours is asked at random so many frames later, in the mean."""


class Chooser(Protocol):
    """Decides in the gate's place."""

    def choose(self, shot: Shot, observation: Observation, waiting: Sequence[Region]) -> Decision:
        """What is asked about a frame.

        Args:
            shot: the frame.
            observation: the edge's answer to it.
            waiting: regions asked about whose verdict is not there yet.
        """
        ...


class Budget:
    """What Secondlook's own gate asked, for one that is to ask as much.

    Attributes:
        asks: for each question not yet taken up, how many regions it had; 0: the whole frame,
            because the regions would have covered most of it.
        whole: the whole frame that was asked about last for another reason: no content chose it.
    """

    def __init__(self) -> None:
        self.asks: deque[int] = deque()
        self.whole: tuple[int, Decision] | None = None

    def note(self, frame: FrameRef, decision: Decision | None) -> None:
        """What was asked about the next frame."""
        if decision is None or not decision.regions:
            return
        first = decision.regions[0]
        whole = (first.width, first.height) == (frame.width, frame.height)
        if not whole:
            self.asks.append(len(decision.regions))
        elif decision.purpose is Purpose.AUDIT or self.whole is None:
            self.whole = (frame.sequence, decision)
        else:
            self.asks.append(0)


class RandomChooser:
    """Asks as often as Secondlook, about as many regions, at random times and places.

    Backgrounds and audits go with the frames that they go with there.

    Args:
        settings: of the pipeline.
        budget: what Secondlook asked; it must see each frame first.
        seed: of the draws.
    """

    def __init__(self, settings: PipelineSettings, budget: Budget, seed: int) -> None:
        self._settings = settings
        self._budget = budget
        self._draw = np.random.default_rng(seed)

    def choose(self, shot: Shot, observation: Observation, waiting: Sequence[Region]) -> Decision:
        """See `Chooser.choose`."""
        frame, asks = shot.frame.ref, self._budget.asks
        if self._budget.whole is not None and self._budget.whole[0] == frame.sequence:
            return self._budget.whole[1]
        if not asks or self._draw.random() >= len(asks) / _SPREAD_FRAMES:
            return Decision(reasons=("the coin said no",))
        canonical = _canonical(frame, self._settings)
        if asks[0] == 0:
            asks.popleft()
            return Decision((canonical.whole("the coin said yes"),))
        boxes = np.concatenate([observation.detections.boxes, observation.candidates.boxes])
        boxes = boxes[~_covered(boxes, waiting)]
        if not len(boxes):
            return Decision(reasons=("nothing to ask about",))
        wanted = asks.popleft()
        rows = self._draw.permutation(len(boxes))[:wanted]
        if wanted > len(rows):
            asks.appendleft(wanted - len(rows))
        regions = regions_around(
            boxes[rows],
            ["the coin said yes"] * len(rows),
            canonical,
            self._settings.regions,
            others=observation.detections.boxes,
        )
        return Decision(regions)


class OracleChooser:
    """Asks exactly where what is published differs from the reference, and nowhere else.

    No gate can know that; what it reaches is what this carrier could bring.

    Args:
        settings: of the pipeline.
        metric: what counts as a difference.
    """

    def __init__(self, settings: PipelineSettings, metric: Metric) -> None:
        self._settings = settings
        self._metric = metric
        self._background_s: float | None = None

    def choose(self, shot: Shot, observation: Observation, waiting: Sequence[Region]) -> Decision:
        """See `Chooser.choose`."""
        assert shot.reference is not None
        canonical = _canonical(shot.frame.ref, self._settings)
        if self._background_s is None or shot.media_s - self._background_s >= _BACKGROUND_S:
            self._background_s = shot.media_s
            return Decision((canonical.whole("background"),))
        said = self._metric.prepare(observation.detections)
        there = self._metric.prepare(shot.reference)
        matching = match(said, there, iou_threshold=self._metric.match_iou)
        wrong = (matching.partner == UNMATCHED) & ~matching.neutral
        boxes = np.concatenate([said.boxes[wrong], there.boxes[matching.missed]])
        reasons = ["wrong"] * int(wrong.sum()) + ["missed"] * int(matching.missed.sum())
        free = ~_covered(boxes, waiting)
        if not free.any():
            return Decision(reasons=("all is right or asked",))
        return Decision(
            regions_around(
                boxes[free],
                [reason for reason, keep in zip(reasons, free, strict=True) if keep],
                canonical,
                self._settings.regions,
                others=said.boxes,
            )
        )


def _canonical(frame: FrameRef, settings: PipelineSettings) -> Canonical:
    return Canonical.of(frame.width, frame.height, settings.regions.canonical_width_px)


def _covered(
    boxes: np.ndarray[tuple[int, ...], np.dtype[np.float32]], regions: Sequence[Region]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """bool (n,), boxes whose centre lies in one of ``regions``."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    inside = np.zeros(len(boxes), bool)
    for region in regions:
        left, top, right, bottom = region.xyxy
        inside |= (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return inside
