"""The rule of others: where any score lies in a band, the whole frame goes up as a JPEG."""

from __future__ import annotations

import time

import numpy as np

from secondlook.cli.price.asking import Asker
from secondlook.cli.price.edge_only import SilentGate
from secondlook.cli.price.edge_side import camera_pipeline
from secondlook.cli.price.jpeg import whole_frame_question
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.edge.gate import RiskModel
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.measure import CountingProxy


class ScoreBand:
    """The edge's answer, replaced by the cloud's on frames with a box of middling score.

    Nothing is remembered from frame to frame but the edge's own tracks.

    Args:
        proxy: the way to the cloud, counted.
        asker: asks through that proxy.
        settings: of the edge's pipeline.
        names: class names of the light model.
        band: lowest and highest score that asks.
        width_px: frames that are wider are sent at this width.
        quality: JPEG quality, 1 to 100.
        min_score: boxes of the cloud below are not wanted.
        risk: see `camera_pipeline`.
    """

    def __init__(
        self,
        proxy: CountingProxy,
        asker: Asker,
        settings: PipelineSettings,
        names: tuple[str, ...],
        *,
        band: tuple[float, float],
        width_px: int,
        quality: int,
        min_score: float,
        risk: RiskModel | None = None,
    ) -> None:
        self.ledger = Ledger("score_band")
        self._proxy = proxy
        self._asker = asker
        self._pipeline = camera_pipeline(
            "score-band", settings, names, gate=SilentGate(), risk=risk
        )
        self._band = band
        self._width_px = width_px
        self._quality = quality
        self._min_score = min_score

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        observation = self._pipeline.answer(shot.frame, shot.light, media_s=shot.media_s)
        first_s = shot.light_s + time.perf_counter() - started
        answer = FrameAnswer.once(observation.detections, first_s)
        self.ledger.answers.append(answer)
        low, high = self._band
        scores = shot.light.scores
        if np.any((scores >= low) & (scores <= high)):
            asked = time.perf_counter()
            verdict = await self._asker.ask(
                whole_frame_question(
                    shot, self._width_px, self._quality, self._min_score, "score-band"
                )
            )
            self.ledger.escalations += 1
            self.ledger.inferences += 1
            answer.revise(verdict.detections, first_s + time.perf_counter() - asked)
        self.ledger.passed(self._proxy.traffic)

    async def finish(self) -> None:
        """See `System.finish`."""
        self.ledger.settle(self._proxy.traffic)
