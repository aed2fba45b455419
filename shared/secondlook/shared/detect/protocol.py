"""What a detector is, to both tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Detections

Image = npt.NDArray[np.uint8]
"""uint8 (height, width, 3), BGR."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known about a loaded model.

    Attributes:
        name: short name, for people, metrics and verdicts.
        version: immutable release; from the file's metadata, else ``sha256:`` + 12 hex digits.
        names: class names, in the order of the class indices.
        width: width of the network's input, pixels.
        height: height of the network's input, pixels.
        head: which head it has (`secondlook.shared.detect.heads`).
        provider: the execution provider that is really active ("CPU", "CUDA", "TensorRT", ...).
        max_batch: most images in one call of the network; 1 where the batch is fixed at 1.
    """

    name: str
    version: str
    names: tuple[str, ...]
    width: int
    height: int
    head: str
    provider: str
    max_batch: int


@runtime_checkable
class Detector(Protocol):
    """A network that finds objects.

    Implementations MUST:
      - return one `Detections` per image, in the image's own pixels, best score first, every box
        inside the image, no score below ``min_score``;
      - leave the images untouched and keep no reference to them after the call;
      - be callable from any one thread at a time; a call blocks and releases the GIL while the
        network runs;
      - give the same boxes for an image whatever else is in its batch (within float error);
      - raise `ModelFailure` when the network gives NaN or a wrong shape, and be usable afterwards;
      - raise `InvalidInput` for what is not an image, before anything runs.
    """

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        ...

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        """Find objects in ``images`` (uint8 (h, w, 3) BGR, sizes may differ)."""
        ...

    def warm_up(self) -> None:
        """Run the network once on an empty picture: the first caller shall not pay for it."""
        ...

    def close(self) -> None:
        """Release the network; calls after this raise `Unavailable`. Safe to repeat."""
        ...
