"""How good the edge is without a cloud: F1 against the heavy model, for one risk model or another.

Without verdicts an answer depends on boxes and nothing else, so the frames need not be decoded a
second time: a blank picture of their size stands for each.
"""

from __future__ import annotations

import numpy as np

from secondlook.cli.calibrate.footage import Footage
from secondlook.cli.price.edge_only import SilentGate
from secondlook.cli.price.edge_side import camera_pipeline
from secondlook.edge.gate.risk import RiskModel
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.measure import Counts, Metric
from secondlook.shared.values import Detections, Frame

PLAIN_SCORE = 0.3
"""What people take where they run a light detector by itself."""


def plain(footage: Footage, metric: Metric) -> float:
    """F1 of the light model's boxes from `PLAIN_SCORE` on."""
    said = [boxes.select(boxes.scores >= PLAIN_SCORE) for boxes in footage.light]
    return _f1(said, footage, metric)


def edge_only(
    footage: Footage, risk: RiskModel, settings: PipelineSettings, metric: Metric
) -> float:
    """F1 of the pipeline's answers where nothing is ever asked."""
    names = footage.light[0].names
    pipeline = camera_pipeline("calibrate", settings, names, gate=SilentGate(), risk=risk)
    blank = np.zeros((1, 1, 3), np.uint8)
    said = []
    for ref, light, media_s in zip(
        footage.frames, footage.light, footage.standard.media_s, strict=True
    ):
        if blank.shape != (ref.height, ref.width, 3):
            blank = np.zeros((ref.height, ref.width, 3), np.uint8)
        answer = pipeline.answer(Frame(ref, blank), light, 0.0, media_s=media_s)
        said.append(answer.detections)
    return _f1(said, footage, metric)


def _f1(said: list[Detections], footage: Footage, metric: Metric) -> float:
    total = Counts(0, 0, 0)
    for answer, reference in zip(said, footage.standard.references, strict=True):
        total = total + metric.compare(answer, reference)
    return total.f1
