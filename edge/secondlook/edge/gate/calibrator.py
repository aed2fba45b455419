"""The calibration of one camera, from its audits to its memory. No I/O.

An audit is scored on what the pipeline thought when it answered: what verdicts have said since
chose its boxes by their content. So what is thought is put aside until the audit's verdict comes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.features import class_weight
from secondlook.edge.evidence.gathering import assess
from secondlook.edge.fusion.correction import corrected
from secondlook.edge.fusion.history import Entry
from secondlook.edge.gate.buckets import buckets_of
from secondlook.edge.gate.calibration import Calibration
from secondlook.edge.gate.learner import Learner, fingerprint
from secondlook.edge.gate.logistic import Floats
from secondlook.edge.gate.risk import RiskModel
from secondlook.edge.memory.notes import Note, Recollection
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.geometry import Boxes, iou
from secondlook.shared.measure import Metric
from secondlook.shared.measure.matching import MATCH_IOU
from secondlook.shared.memory.kinds import ScoreCalibration
from secondlook.shared.values import Detections, Purpose, Verdict

_MAX_NAME = 300
_MOST_WAITING = 32
"""Audits that wait for their verdict; far more than a budget allows."""


@dataclass(frozen=True, slots=True, eq=False)
class _Thought:
    """What was thought of the boxes of a frame when it was answered.

    Attributes:
        right: float64 (n,), probabilities before any calibration.
        buckets: n; empty for boxes that do not count.
        boxes: float32 (n, 4), as they would be published.
        names: n class names, as they would be published.
        audit_rate: with which probability the frame was to be audited.
        captured_at: wall clock of the frame, seconds since the Unix epoch.
    """

    right: Floats
    buckets: list[str]
    boxes: Boxes
    names: list[str]
    audit_rate: float
    captured_at: float


class Calibrator:
    """See the module. Not safe for concurrent use.

    Args:
        model: the risk model.
        interest: class names that count; ``None``: all.
        verdict_score: boxes of the heavy model count from this score on.
        every_s: how often what was learned is written down, seconds.
        known: records of earlier processes.
        learn: whether anything is learned, and what is known is used.
    """

    def __init__(
        self,
        model: RiskModel,
        interest: frozenset[str] | None,
        verdict_score: float,
        every_s: float,
        known: Mapping[str, ScoreCalibration] | None = None,
        *,
        learn: bool = True,
    ) -> None:
        self._learns = learn
        self._model = model
        self._metric = Metric(None if interest is None else tuple(sorted(interest)))
        self._verdict_score = verdict_score
        self._every_s = every_s
        self._learner = Learner(fingerprint(model), known if learn else None)
        self._waiting: OrderedDict[int, _Thought] = OrderedDict()
        self._now_s = 0.0
        self._told_s: float | None = None
        self._told_version = self.calibration.version

    @classmethod
    def of(
        cls,
        settings: PipelineSettings,
        model: RiskModel,
        interest: frozenset[str] | None,
        known: Recollection | None,
    ) -> Calibrator:
        """That of a pipeline."""
        return cls(
            model,
            interest,
            settings.fusion.verdict_score,
            settings.memory.prior_every_s,
            None if known is None else known.calibrations,
            learn=settings.gate.learn,
        )

    @property
    def calibration(self) -> Calibration:
        """What is in use now."""
        return self._learner.calibration

    def answered(self, entry: Entry, audit_rate: float) -> None:
        """A frame is answered; where the coin sends it to the cloud, what is thought is kept.

        Args:
            entry: the frame, with its decision.
            audit_rate: with which probability it was to be audited.
        """
        self._now_s = entry.time_s
        decision = entry.observation.decision
        if not self._learns or decision is None or decision.purpose is not Purpose.AUDIT:
            return
        tracked = entry.tracked
        boxes, classes = tracked.boxes.copy(), tracked.classes.tolist()
        beliefs = [entry.beliefs.get(track_id) for track_id in tracked.track_ids.tolist()]
        for row, belief in enumerate(beliefs):
            if belief is not None and not belief.refuted:
                boxes[row] = corrected(boxes[row], belief.correction)
                weight = class_weight(entry.features[row])
                classes[row] = belief.carried_class(classes[row], weight)
        names = [tracked.names[index] for index in classes]
        buckets = buckets_of(entry.features, names, beliefs, entry.time_s)
        if self._metric.classes is not None:
            buckets = [
                bucket if name in self._metric.classes else ""
                for bucket, name in zip(buckets, names, strict=True)
            ]
        right = assess(entry, self._model).right.copy()
        at_s = entry.frame.captured_at
        thought = _Thought(right, buckets, boxes, names, audit_rate, at_s)
        self._waiting[entry.frame.sequence] = thought
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def judged(self, verdict: Verdict, said: Detections) -> bool:
        """Take in the verdict on a frame that was audited; any other is of no interest here.

        Args:
            verdict: as it came.
            said: its boxes, in the names known here.

        Returns:
            Whether another calibration is in use from now on.
        """
        if verdict.purpose is not Purpose.AUDIT:
            return False
        thought = self._waiting.pop(verdict.sequence, None)
        if thought is None:
            return False
        wanted = self._metric.prepare(said.select(said.scores >= self._verdict_score))
        before = self.calibration.version
        self._learner.learn(
            thought.right,
            thought.buckets,
            right_ones(thought.boxes, thought.names, thought.right, wanted),
            audit_rate=thought.audit_rate,
            model=f"{verdict.model} {verdict.version}"[:_MAX_NAME],
            at_s=thought.captured_at,
        )
        return self.calibration.version != before

    def take_notes(self, *, last: bool = False) -> list[Note]:
        """What is to be written down now, if it is time; with ``last`` whatever the time.

        New curves are written down at once: a restart must go on with those that trust has seen.
        """
        if self._told_s is None:
            self._told_s = self._now_s
        version = self.calibration.version
        due = self._now_s >= self._told_s + self._every_s or version != self._told_version
        if not (last or due):
            return []
        self._told_s, self._told_version = self._now_s, version
        said = self._learner.record()
        return [] if said is None else [Note(ScoreCalibration, *said)]


def right_ones(
    boxes: Boxes, names: list[str], right: Floats, wanted: Detections
) -> npt.NDArray[np.bool_]:
    """bool (n,): which boxes are what the heavy model says, each of its boxes being one of ours.

    The likeliest takes its own first, as answers are scored.
    """
    out = np.zeros(len(boxes), bool)
    if not (len(boxes) and len(wanted)):
        return out
    overlap = iou(boxes, wanted.boxes)
    said = wanted.class_names()
    free = np.ones(len(wanted), bool)
    for row in np.argsort(-right, kind="stable").tolist():
        same = np.array([name == names[row] for name in said])
        open_ = np.where(free & same, overlap[row], 0.0)
        best = int(open_.argmax())
        if open_[best] >= MATCH_IOU:
            out[row], free[best] = True, False
    return out
