"""The cloud's answer to an escalation."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.shared.values.decision import Purpose, Region
from secondlook.shared.values.detections import Detections


@dataclass(frozen=True, slots=True)
class VerdictTimings:
    """Where the cloud's time went, seconds."""

    decode_s: float = 0.0
    queue_s: float = 0.0
    infer_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the heavy model saw in the regions it was asked about.

    Attributes:
        request_id: id of the escalation.
        camera: id of the camera.
        sequence: the frame it was asked about.
        regions: the rectangles of the native frame it speaks for, and for nothing outside them.
        detections: the heavy model's boxes in pixels of the native frame.
        model: name of the model.
        version: version of the model.
        purpose: why it was asked.
        timings: where the cloud's time went.
        variant: which of the version's variants answered (``int8``); empty: the main one.
        reason: why this version and variant; empty where there was no choice.
    """

    request_id: str
    camera: str
    sequence: int
    regions: tuple[Region, ...]
    detections: Detections
    model: str
    version: str
    purpose: Purpose = Purpose.UNSURE
    timings: VerdictTimings = VerdictTimings()
    variant: str = ""
    reason: str = ""
