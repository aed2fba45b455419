"""The heavy model as the baselines and the reference ask it: through the cloud's own engine."""

from __future__ import annotations

from secondlook.cloud.engine.protocol import Engine
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.values import Detections

_PATIENCE_S = 600.0


class Heavy:
    """One model of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info: ModelInfo = engine.models()[0]

    async def see(self, image: Image, min_score: float) -> Detections:
        """What the model sees in a picture (uint8 (h, w, 3) BGR).

        Raises:
            ModelFailure: the network gave nonsense.
        """
        found, _, _ = await self._engine.infer(
            self.info.name,
            image,
            min_score=min_score,
            deadline=Deadline.after(_PATIENCE_S, SystemClock()),
        )
        return found
