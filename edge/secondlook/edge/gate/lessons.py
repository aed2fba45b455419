"""What a risk model learns from: boxes of the light model beside what the heavy model said there.

No labels by people are needed: the heavy model's boxes of the same frames are what the edge is held
against. Lessons are gathered frame by frame from the very tracker and features that run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.features import OLDEST_S, change_features, class_weight
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.correction import corrected
from secondlook.edge.gate.logistic import Floats
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.scene import Scene
from secondlook.shared.geometry import iou
from secondlook.shared.measure import Metric
from secondlook.shared.measure.matching import MATCH_IOU
from secondlook.shared.values import Detections, FrameRef

GAPS_S = (0.05, OLDEST_S)
"""Shortest and longest time between a verdict and the frame on which it is tried."""
PAIRS = 3
"""Earlier verdicts tried on each box."""


@dataclass(slots=True, eq=False)
class Lessons:
    """Rows to fit a risk model on, of one clip or camera.

    Attributes:
        sights: float64 (len(SIGHT),) each, boxes without a verdict.
        present: 1.0 where the heavy model sees an object there.
        same_class: 1.0 where its class is the edge's.
        confirmed: float64 (len(VERIFIED),) each, boxes some time after a verdict that saw them.
        stands: 1.0 where the verdict is still what the heavy model says.
        refuted: float64 (len(VERIFIED),) each, boxes some time after a verdict that saw nothing.
        returned: 1.0 where the heavy model now sees what the edge says.
    """

    sights: list[Floats] = field(default_factory=list)
    present: list[float] = field(default_factory=list)
    same_class: list[float] = field(default_factory=list)
    confirmed: list[Floats] = field(default_factory=list)
    stands: list[float] = field(default_factory=list)
    refuted: list[Floats] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sights)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A box as the heavy model judged it."""

    time_s: float
    belief: Belief


class Teacher:
    """Watches one clip and gathers lessons.

    Args:
        settings: of the pipeline whose evidence is learned.
        names: class names of the light model.
        metric: the classes that count, and how double labels are told.
        seed: of the choice of earlier verdicts.
    """

    def __init__(
        self, settings: PipelineSettings, names: tuple[str, ...], metric: Metric, seed: int = 0
    ) -> None:
        self.lessons = Lessons()
        self._settings = settings
        self._names = names
        self._metric = metric
        self._dice = random.Random(seed)
        self._scene = Scene(settings, len(names))
        self._judged: dict[int, list[_Judged]] = {}

    def see(
        self,
        detections: Detections,
        reference: Detections,
        look: Thumbnail,
        frame: FrameRef,
        time_s: float,
    ) -> None:
        """The next frame.

        Args:
            detections: the light model's boxes, from about 0.05 on.
            reference: the heavy model's boxes that count.
            look: thumbnail of the frame.
            frame: which frame.
            time_s: its stream time, seconds.
        """
        now_s = self._scene.stream_time(time_s)
        tracked, features, _ = self._scene.see(detections, look, frame, now_s)
        wanted = self._metric.prepare(reference).renamed(self._names)
        partner = _partners(tracked, wanted, MATCH_IOU)
        # A verdict lands on a box that it overlaps by less than an answer needs to be right.
        landed = _partners(tracked, wanted, self._settings.fusion.match_iou)
        interest = self._metric.classes
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            name = self._names[tracked.classes[row]]
            counts = interest is None or name in interest
            found = partner[row]
            if counts:
                self._unverified(features[row], tracked, row, wanted, found)
                self._verified(features[row], tracked, row, wanted, now_s)
            on = int(landed[row])
            belief = Belief.judged(
                tracked,
                row,
                tracked.boxes[row],
                wanted,
                None if on < 0 else on,
                look=look,
                time_s=now_s,
            )
            history = self._judged.setdefault(track_id, [])
            history.append(_Judged(now_s, belief))
            if history[0].time_s < now_s - GAPS_S[1]:
                history.pop(0)

    def _unverified(
        self, features: Floats, tracked: Detections, row: int, wanted: Detections, found: int
    ) -> None:
        self.lessons.sights.append(features)
        self.lessons.present.append(float(found >= 0))
        same = found >= 0 and wanted.classes[found] == tracked.classes[row]
        self.lessons.same_class.append(float(same))

    def _verified(
        self,
        features: Floats,
        tracked: Detections,
        row: int,
        wanted: Detections,
        time_s: float,
    ) -> None:
        earlier = self._judged.get(int(tracked.track_ids[row]), ())
        if not earlier:
            return
        for judged in self._dice.sample(list(earlier), min(PAIRS, len(earlier))):
            belief = judged.belief
            change = change_features(
                features[None],
                tracked.boxes[row : row + 1],
                tracked.classes[row : row + 1],
                [belief],
                time_s,
            )[0]
            both = np.concatenate([features, change])
            box = tracked.boxes[row]
            class_index = int(tracked.classes[row])
            if not belief.refuted:
                box = corrected(box, belief.correction)
                class_index = belief.carried_class(class_index, class_weight(features))
            right = float(_says(wanted, box, class_index))
            if belief.refuted:
                self.lessons.refuted.append(both)
                self.lessons.returned.append(right)
            else:
                self.lessons.confirmed.append(both)
                self.lessons.stands.append(right)


def _partners(tracked: Detections, wanted: Detections, least_iou: float) -> npt.NDArray[np.int64]:
    """int64 (n,), the heavy model's box that each of ours is, whatever the class; -1 for none.

    The strongest takes its own first, as everywhere (`secondlook.shared.measure.matching`).
    """
    out = np.full(len(tracked), -1, np.int64)
    if not (len(tracked) and len(wanted)):
        return out
    overlap = iou(tracked.boxes, wanted.boxes)
    free = np.ones(len(wanted), bool)
    for row in np.argsort(-tracked.scores, kind="stable"):
        open_ = np.where(free, overlap[row], 0.0)
        best = int(open_.argmax())
        if open_[best] >= least_iou:
            out[row] = best
            free[best] = False
    return out


def _says(wanted: Detections, box: npt.NDArray[np.float32], class_index: int) -> bool:
    """Whether the heavy model has a box of that class there."""
    if not len(wanted):
        return False
    overlap = iou(box[None], wanted.boxes)[0]
    return bool((overlap[wanted.classes == class_index] >= MATCH_IOU).any())
