"""What runs the heavy models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secondlook.shared.clock import Deadline
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.values import Detections


class Engine(Protocol):
    """Runs models for many callers at once.

    Implementations MUST:
      - never let the cancellation or failure of one caller hurt another of the same batch;
      - drop a request whose deadline has passed before it costs anything (`DeadlineExceeded`);
      - refuse work beyond their bound with `Overloaded` at once;
      - on ``drain``, finish what was accepted and answer new work with `Unavailable`.
    """

    def models(self) -> Sequence[ModelInfo]:
        """The models that can be asked; the first is the default."""
        ...

    async def infer(
        self, model: str, image: Image, *, min_score: float, deadline: Deadline
    ) -> tuple[Detections, float, float]:
        """Detections of one image, seconds spent waiting, seconds spent in the network.

        Args:
            model: name; empty for the default.
            image: uint8 (h, w, 3) BGR; not written to.
            min_score: boxes below are not returned; 0 for the model's default.
            deadline: when the answer stops being useful.

        Raises:
            NotFound: no such model.
            Overloaded, DeadlineExceeded, Unavailable, ModelFailure: see the class.
        """
        ...

    async def drain(self) -> None:
        """Finish what was accepted, then stop."""
        ...
