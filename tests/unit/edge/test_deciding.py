"""What a frame is decided on: whoever may be asked about has its price."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import NAMES, frame, seen
from support.gate import plain_risk, plain_settings
from support.street import ROOM

from secondlook.edge.gate import Choice, FrameEvidence, RiskGate, Terms
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock


class Listening:
    """`RiskGate`, and what it was told last."""

    def __init__(self, gate: RiskGate) -> None:
        self._gate = gate
        self.told: list[tuple[FrameEvidence, Terms]] = []

    def choose(self, frame: FrameEvidence, terms: Terms) -> Choice:
        self.told.append((frame, terms))
        return self._gate.choose(frame, terms)


@pytest.mark.parametrize("threshold", [0.12, 0.004])
def test_what_may_be_asked_about_has_a_price_however_low_the_threshold(threshold: float) -> None:
    settings = plain_settings(gate={"threshold": threshold})
    gate = Listening(RiskGate(settings.gate))
    pipeline = CameraPipeline("gate", settings, NAMES, ManualClock(), gate=gate, risk=plain_risk())
    # A box of score s has a loss of 1 - s.
    places = [(10.0 + 40 * n, 10.0, 40.0 + 40 * n, 40.0) for n in range(2)]
    boxes = [(place, score, NAMES[0]) for place, score in zip(places, (0.6, 0.994), strict=True)]
    pipeline.answer(frame(0, ROOM), seen(*boxes), media_s=0.0)
    evidence, terms = gate.told[-1]
    estimates = terms.bytes_of(evidence.boxes)
    asked_about = evidence.loss >= settings.gate.ride_share * threshold
    assert asked_about.any()
    assert (estimates[asked_about] > 0).all()
    assert np.isfinite(estimates).all()
