"""Takes down what a pipeline decides, sends and learns. Costs microseconds; no I/O.

Records hold the arrays that the pipeline made anyway: packing them is the writer's work.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.edge.decisions.records import (
    FrameRecord,
    MissedObject,
    PictureRecord,
    Record,
    Rectangle,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.edge.decisions.settings import DecisionSettings
from secondlook.edge.fusion.reading import Reading
from secondlook.edge.gate.protocol import Choice, FrameEvidence, Terms
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical, each_alone
from secondlook.shared.geometry import coverage
from secondlook.shared.measure import match
from secondlook.shared.trust.scoring import COVERED
from secondlook.shared.values import (
    Detections,
    Escalation,
    FrameRef,
    Observation,
    Purpose,
    Region,
    Verdict,
)

_MAX_RECORDS = 1024
"""Most records that wait to be taken; far more than one step gives."""
_MAX_OPEN = 256
"""Most questions whose evidence is held until their verdict."""
_ASKED_OFTEN = 4
"""So much more often are pictures kept of frames that are asked about."""


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """What was known about a frame when it was answered."""

    evidence: FrameEvidence
    published: Detections
    size: tuple[int, int]


class Recorder:
    """The records of one pipeline, until they are taken.

    Args:
        settings: of the log.
        pipeline: settings of the pipeline.
        interest: class names that count; ``None``: all.
    """

    def __init__(
        self,
        settings: DecisionSettings,
        pipeline: PipelineSettings,
        interest: frozenset[str] | None,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._interest = interest
        self._records: deque[Record] = deque(maxlen=_MAX_RECORDS)
        self._last: _Open | None = None
        self._open: dict[str, _Open] = {}
        self._picture_s = float("-inf")

    def take(self) -> list[Record]:
        """The records since the last call."""
        records = list(self._records)
        self._records.clear()
        return records

    def decided(
        self,
        frame: FrameRef,
        time_s: float,
        evidence: FrameEvidence,
        terms: Terms,
        candidate_bytes: npt.NDArray[np.float64],
        choice: Choice,
        regions: tuple[Region, ...],
        published: Detections,
    ) -> None:
        """A frame was answered.

        Args:
            frame: which.
            time_s: its stream time, seconds.
            evidence: what the gate was given; see `records.logged`.
            terms: on what terms.
            candidate_bytes: float64 (n,), estimate for each candidate.
            choice: what it chose.
            regions: what is to be sent.
            published: the answer.
        """
        self._last = _Open(evidence, published, (frame.width, frame.height))
        self._records.append(
            FrameRecord(
                evidence, terms, candidate_bytes, choice, _rectangles(regions),
                frame.captured_at, frame.captured_s, time_s, frame.width, frame.height,
            )
        )  # fmt: skip

    def wants_picture(self, time_s: float, *, asked: bool) -> bool:
        """Whether a small picture of the frame is to be kept; say it once for each frame."""
        if self._settings.pictures == "none":
            return False
        every_s = self._settings.picture_every_s / (_ASKED_OFTEN if asked else 1)
        if time_s < self._picture_s + every_s:
            return False
        self._picture_s = time_s
        return True

    def picture(self, sequence: int, image: npt.NDArray[np.uint8]) -> None:
        """Keep a small picture of a frame; ``image``: uint8 (height, width, 3), BGR, not kept."""
        height, width = image.shape[:2]
        across = min(width, self._settings.picture_width_px)
        down = max(1, round(height * across / width))
        small = cv2.resize(image, (across, down), interpolation=cv2.INTER_LINEAR)
        self._records.append(PictureRecord(sequence, "thumbnail", np.asarray(small, np.uint8)))

    def sent(self, escalation: Escalation, quality: int, blurred: int, now_s: float) -> None:
        """A question was packed."""
        canvas = escalation.canvas
        carrier = "mosaic" if canvas is None else "canvas key frame" if canvas.key else "canvas"
        self._records.append(
            SentRecord(
                escalation.sequence, escalation.request_id, escalation.purpose.value, carrier,
                escalation.encoding.value, quality, len(escalation.image),
                _rectangles(escalation.regions), blurred, now_s,
            )
        )  # fmt: skip
        if self._settings.pictures == "sent" and escalation.canvas is None:
            self._records.append(PictureRecord(escalation.sequence, "sent", escalation.image))
        last = self._last
        if last is not None and last.evidence.sequence == escalation.sequence:
            if len(self._open) >= _MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._open[escalation.request_id] = last

    def way(
        self, sequence: int, request_id: str, way: str, why: str = "", wire_bytes: int = 0
    ) -> None:
        """How a question went on; see `WayRecord`."""
        if way in ("lost", "measured"):
            self._open.pop(request_id, None)
        self._records.append(WayRecord(sequence, request_id, way, why, wire_bytes))

    def late(self, verdict: Verdict, now_s: float) -> None:
        """A verdict came about a frame that is no longer kept."""
        self._open.pop(verdict.request_id, None)
        self._records.append(
            VerdictRecord(
                verdict.sequence, verdict.request_id, _model(verdict), at_s=now_s, late=True
            )
        )

    def answered(
        self,
        verdict: Verdict,
        reading: Reading,
        tracked: Detections,
        revised: list[Observation],
        now_s: float,
    ) -> None:
        """A verdict was taken in.

        Args:
            verdict: as it came.
            reading: what it says about the boxes of its frame.
            tracked: those boxes.
            revised: the answers that it changed.
            now_s: monotonic time, seconds.
        """
        known = self._open.pop(verdict.request_id, None)
        said = dict(zip(tracked.track_ids.tolist(), tracked.class_names(), strict=True))
        if known is not None:
            said.update(zip(known.evidence.track_ids.tolist(), known.evidence.names, strict=True))
        found = reading.verdict
        names = found.class_names()
        confirmed, changed = [], []
        for row, column in reading.seen:
            track_id = int(tracked.track_ids[row])
            if said[track_id] == names[column]:
                confirmed.append(track_id)
            else:
                changed.append((track_id, names[column]))
        own = [one.revision for one in revised if one.frame.sequence == verdict.sequence]
        missed = None
        if verdict.purpose is Purpose.AUDIT and known is not None:
            missed = self._missed(known, found)
        self._records.append(
            VerdictRecord(
                verdict.sequence,
                verdict.request_id,
                _model(verdict),
                tuple(confirmed),
                tuple(int(tracked.track_ids[row]) for row in reading.refuted),
                tuple(changed),
                tuple((names[column], _corners(found.boxes[column])) for column in reading.new),
                len(revised),
                max(own, default=0),
                missed,
                now_s,
            )
        )

    def _missed(self, known: _Open, heavy: Detections) -> tuple[MissedObject, ...]:
        """What the answer did not have, and the risk of what would have shown it.

        As in `secondlook.shared.trust.lowest_risk`, object by object.
        """
        if self._interest is not None:
            heavy = heavy.of_classes(tuple(self._interest))
        which = np.flatnonzero(match(known.published, heavy).missed)
        if not len(which):
            return ()
        evidence, names = known.evidence, heavy.class_names()
        shown = np.zeros((len(heavy), 0), bool)
        if len(evidence):
            shown = coverage(heavy.boxes, self._regions(known)) >= COVERED
        out = []
        for row in which.tolist():
            risks = np.where(shown[row], np.nan_to_num(evidence.loss), -1.0)
            best = int(risks.argmax()) if len(risks) and risks.max() >= 0 else -1
            loss = float(risks[best]) if best >= 0 else 0.0
            out.append(MissedObject(names[row], _corners(heavy.boxes[row]), best, loss))
        return tuple(out)

    def _regions(self, known: _Open) -> npt.NDArray[np.float32]:
        """float32 (n, 4), what would be sent of each candidate alone."""
        settings = self._pipeline.regions
        boxes, (width, height) = known.evidence.boxes, known.size
        frame = Canonical.of(width, height, settings.canonical_width_px)
        return each_alone(boxes, frame, settings)


def _rectangles(regions: tuple[Region, ...]) -> tuple[Rectangle, ...]:
    return tuple((one.x, one.y, one.width, one.height) for one in regions)


def _corners(box: npt.NDArray[np.float32]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(float(value)) for value in box)
    return left, top, right, bottom


def _model(verdict: Verdict) -> str:
    return f"{verdict.model} {verdict.version}".strip()
