"""The edge without a cloud."""

from __future__ import annotations

import time

from secondlook.cli.price.edge_side import camera_pipeline
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.edge.gate import Choice, FrameEvidence, RiskModel
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.measure import Traffic


class SilentGate:
    """Asks nothing."""

    def choose(self, frame: FrameEvidence, *terms: object) -> Choice:
        """See `Gate.choose`."""
        return Choice(reasons=("there is no cloud",))


class EdgeOnly:
    """The same pipeline as Secondlook's, publishing from the same score on, that never asks."""

    def __init__(
        self, settings: PipelineSettings, names: tuple[str, ...], risk: RiskModel | None = None
    ) -> None:
        self.ledger = Ledger("edge_only")
        self._pipeline = camera_pipeline("edge-only", settings, names, gate=SilentGate(), risk=risk)

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        observation = self._pipeline.answer(shot.frame, shot.light, media_s=shot.media_s)
        latency_s = shot.light_s + time.perf_counter() - started
        self.ledger.answers.append(FrameAnswer.once(observation.detections, latency_s))
        self.ledger.passed(Traffic())

    async def finish(self) -> None:
        """See `System.finish`."""
