"""The first gate: a band of scores, a memory of what was asked, a coin for audits."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.edge.gate.audit import coin
from secondlook.edge.gate.protocol import Choice, Evidence, FrameEvidence
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Purpose

_RISEN = 0.15
"""A refuted box whose score rises by this much is asked about again."""


class ScoreBandGate:
    """Asks about boxes whose score is neither high nor hopeless, unless a verdict covers them."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings

    def choose(self, frame: FrameEvidence) -> Choice:
        """See `Gate.choose`."""
        whole = self._whole_frame(frame)
        if whole is not None:
            return whole
        wanted = [
            (ask, index)
            for index, box in enumerate(frame.boxes)
            if (ask := question(box, self._settings)) is not None
        ]
        wanted.sort(key=lambda item: (-item[0].doubt, item[1]))
        if not wanted:
            return Choice(reasons=(_why_nothing(frame),))
        kept, left = wanted[: self._settings.max_regions], wanted[self._settings.max_regions :]
        purpose = Purpose.REFRESH if all(ask.refresh for ask, _ in kept) else Purpose.UNSURE
        reasons = tuple(dict.fromkeys(ask.reason for ask, _ in kept))
        if left:
            reasons += (f"{len(left)} more are unsure; the limit is {len(kept)} regions a frame",)
        return Choice(
            ask=tuple(index for _, index in kept),
            box_reasons=tuple(ask.reason for ask, _ in kept),
            purpose=purpose,
            reasons=reasons,
        )

    def _whole_frame(self, frame: FrameEvidence) -> Choice | None:
        settings = self._settings
        thrown = coin(settings.seed, frame.camera, frame.sequence)
        if thrown < settings.audit_rate:
            reason = f"audit: coin {thrown:.4f} is below {settings.audit_rate:g}"
            return Choice(whole_frame=True, purpose=Purpose.AUDIT, reasons=(reason,))
        if frame.background_in_flight:
            return None
        if frame.background_age_s is None:
            reason = "the cloud has no whole frame of this camera yet"
            return Choice(whole_frame=True, reasons=(reason,))
        if frame.background_age_s >= settings.background_every_s:
            reason = f"the cloud's whole frame is {frame.background_age_s:.0f} s old"
            return Choice(whole_frame=True, purpose=Purpose.REFRESH, reasons=(reason,))
        return None


@dataclass(frozen=True, slots=True)
class Question:
    """Why one box is asked about.

    Attributes:
        reason: in plain words.
        doubt: 0 to 1; what is asked first where not all can be.
        refresh: whether it only renews a verdict.
    """

    reason: str
    doubt: float
    refresh: bool = False


def question(box: Evidence, settings: GateSettings) -> Question | None:
    """Whether a box is to be asked about; ``None`` where it may stand."""
    if box.in_flight:
        return None
    if box.verdict_age_s is None:
        return _first_question(box, settings)
    if box.score >= settings.weak_score and box.class_name != box.verdict_edge_class:
        reason = f"class changed from {box.verdict_edge_class} to {box.class_name}"
        # The strongest of boxes needs no second look, whatever it was before.
        return Question(reason, 0.9) if box.score < settings.high_score else None
    if box.refuted and box.score >= box.verdict_edge_score + _RISEN:
        return Question(f"refuted {box.class_name} has risen to score {box.score:.2f}", 0.9)
    grown = box.area / max(1.0, box.verdict_area)
    if not 1 / settings.area_factor < grown < settings.area_factor:
        if box.score >= settings.high_score and not box.refuted:
            return None
        return Question(f"{box.class_name} has {grown:.1f} times the area it had", 0.5, True)
    if box.verdict_left_s > 0 or box.score >= settings.high_score:
        return None
    return Question(f"verdict on {box.class_name} is {box.verdict_age_s:.1f} s old", 0.3, True)


def _first_question(box: Evidence, settings: GateSettings) -> Question | None:
    score = box.score
    if score >= settings.high_score or score < settings.weak_score:
        return None
    middle = (settings.low_score + settings.high_score) / 2
    doubt = 1.0 - abs(score - middle)
    if score >= settings.low_score:
        return Question(f"score {score:.2f} of {box.class_name} lies in the band", doubt)
    if box.hits >= settings.weak_hits:
        reason = f"weak {box.class_name} of score {score:.2f} seen {box.hits} times"
        return Question(reason, doubt)
    return None


def _why_nothing(frame: FrameEvidence) -> str:
    if not frame.boxes:
        return "nothing seen, nothing to ask"
    waiting = sum(box.in_flight for box in frame.boxes)
    known = sum(box.verdict_age_s is not None for box in frame.boxes)
    return f"{len(frame.boxes)} boxes: {known} known by verdict, {waiting} asked, the rest clear"
