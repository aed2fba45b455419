"""Models that somebody else has opened: detectors without a repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.lifecycle import DEFAULT_MIN_SCORE, Opened
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.config import Batching, ModelConfig, Release
from secondlook.shared.detect.protocol import Detector, ModelInfo
from secondlook.shared.errors import NotFound

ACCELERATOR_BATCH = 16
"""Most images in one call where nothing is configured and the model does not run on a CPU."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A detector ready to be served.

    Attributes:
        detector: the model.
        min_score: boxes below are not returned where the caller names no score.
        max_batch: most images in one call; 0 chooses (see `batch_limit`).
    """

    detector: Detector
    min_score: float = DEFAULT_MIN_SCORE
    max_batch: int = 0

    def opened(self) -> Opened:
        """The same as a release that is open."""
        info = self.detector.info
        config = ModelConfig(
            info.name,
            "onnxruntime",
            max_batch=batch_limit(info, self.max_batch),
            batching=Batching() if self.max_batch else None,
            parameters={"min_score": str(self.min_score)},
            derived=True,
        )
        backend: Backend = DetectorBackend(self.detector)
        return Opened(Release(config, info.version, Path()), (backend,))


def opens_nothing(release: Release) -> Opened:
    """Opens releases where there is nothing but what is open already.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"{release.config.name!r} cannot be loaded here")


def batch_limit(info: ModelInfo, asked: int) -> int:
    """How many images one call of the network takes.

    On a CPU a batch saves at most a tenth per image but makes the first caller wait for the last,
    so the default there is 1; on an accelerator it is everything, so the default is 16.
    """
    if asked == 0:
        asked = 1 if info.provider == "CPU" else ACCELERATOR_BATCH
    return max(1, min(asked, info.max_batch))


class DetectorBackend:
    """A `Backend` that takes images only.

    Args:
        detector: the model; closed with this.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    @property
    def signature(self) -> Signature:
        """It takes no tensors."""
        return Signature((), (), max(1, self._detector.info.max_batch))

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._detector.info.provider

    @property
    def memory_bytes(self) -> int:
        """Unknown."""
        return 0

    @property
    def detector(self) -> Detector:
        """The model."""
        return self._detector

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Not to be had.

        Raises:
            NotFound: always.
        """
        raise NotFound(f"{self._detector.info.name!r} takes images, no tensors")

    def warm_up(self) -> None:
        """See `Backend.warm_up`."""
        self._detector.warm_up()

    def close(self) -> None:
        """See `Backend.close`."""
        self._detector.close()
