"""The heavy model as the baselines and the reference ask it: through the cloud's own engine."""

from __future__ import annotations

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.serving import Serving
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.values import Detections

_PATIENCE_S = 600.0


class Heavy:
    """One model of an engine."""

    def __init__(self, engine: Serving) -> None:
        self._engine = engine
        self.info: ModelInfo = engine.detector()

    async def see(self, image: Image, min_score: float) -> Detections:
        """What the model sees in a picture (uint8 (h, w, 3) BGR).

        Raises:
            ModelFailure: the network gave nonsense.
        """
        ask = Ask(Deadline.after(_PATIENCE_S, SystemClock()), self.info.name)
        return (await self._engine.detect(image, ask, min_score=min_score)).detections
