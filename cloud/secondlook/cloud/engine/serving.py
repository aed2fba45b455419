"""What the service asks of an engine: any model, by raw tensors or from image to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secondlook.cloud.engine.asking import Ask, Detected, Inferred
from secondlook.cloud.engine.tensors import Signature, Tensors
from secondlook.shared.detect.protocol import Image, ModelInfo


class Serving(Protocol):
    """Runs models for many callers at once.

    Implementations MUST:
      - never let the cancellation or failure of one caller hurt another of the same batch;
      - drop a request whose deadline has passed before it costs anything (`DeadlineExceeded`);
      - refuse work beyond their bound with `Overloaded` at once;
      - say in every answer which version gave it;
      - on ``drain``, finish what was accepted and answer new work with `Unavailable`.
    """

    def detectors(self) -> Sequence[ModelInfo]:
        """The detectors that can be asked now; the first is the default."""
        ...

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        """One of them; of the version that most requests would get.

        Raises:
            NotFound: no such model or version, or it is no detector.
        """
        ...

    def signature(self, model: str, version: str = "") -> Signature:
        """What a model takes and gives as raw tensors.

        Raises:
            NotFound: no such model or version is ready.
        """
        ...

    async def prepare(self, ask: Ask) -> None:
        """Have what answers the ask in memory: at once where it is, else when it is loaded.

        Whoever looks at `detector` or `signature` before it asks calls this first.

        Raises:
            NotFound: no such model is known, or such a version served.
            DeadlineExceeded, Overloaded, Unavailable: see the class.
            InvalidModel, InvalidConfig, ModelFailure: it cannot be loaded.
        """
        ...

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        """Boxes of one image (uint8 (h, w, 3) BGR; not written to).

        Args:
            image: the image.
            ask: who asks which model.
            min_score: boxes below are not returned; 0 for the model's default.

        Raises:
            NotFound: no such model or version, or it is no detector.
            Overloaded, DeadlineExceeded, Unavailable, ModelFailure: see the class.
        """
        ...

    async def infer(self, tensors: Tensors, ask: Ask, outputs: Sequence[str] = ()) -> Inferred:
        """Raw tensors in, raw tensors out; not written to.

        Args:
            tensors: every input, by name.
            ask: who asks which model.
            outputs: names of those wanted; all where empty.

        Raises:
            InvalidInput: tensors that the model does not take; an output that it has not.
            NotFound: no such model or version.
            Overloaded, DeadlineExceeded, Unavailable, ModelFailure: see the class.
        """
        ...

    async def drain(self) -> None:
        """Finish what was accepted, then stop."""
        ...
