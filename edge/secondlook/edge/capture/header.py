"""What travels with a frame from the capture process to the agent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Detections

MAX_TRUTH = 4096
"""Most boxes of ground truth that travel with a frame."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a capture process has counted since it started.

    Attributes:
        dropped: frames dropped by overflow.
        skipped: frames passed over by the analysis rate.
        copied: bytes of pixels copied.
    """

    dropped: int = 0
    skipped: int = 0
    copied: int = 0


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What is known about a frame in a slot.

    Attributes:
        generation, slot: where its pixels are.
        width, height: its size, pixels.
        sequence: its number among all frames of the stream, also the skipped ones.
        media_s: its time in the stream, seconds.
        taken_s: when it was decoded, seconds of the machine's monotonic clock.
        decode_s: seconds spent on decoding since the frame before, waiting for a camera included.
        counts: what its process has counted so far.
    """

    generation: int
    slot: int
    width: int
    height: int
    sequence: int
    media_s: float
    taken_s: float
    decode_s: float
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Ground truth that travels with a frame; class names travel apart, once."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32]
    track_ids: npt.NDArray[np.int64]
    ignore: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, detections: Detections, ignore: npt.NDArray[np.bool_] | None) -> Truth:
        """From what a source gave."""
        n = min(len(detections), MAX_TRUTH)
        mask = np.zeros(len(detections), np.bool_) if ignore is None else ignore
        return cls(
            detections.boxes[:n],
            detections.scores[:n],
            detections.classes[:n],
            detections.track_ids[:n],
            mask[:n],
        )

    def detections(self, names: tuple[str, ...]) -> Detections:
        """As the value that the rest of the edge knows."""
        return Detections(self.boxes, self.scores, self.classes, names, self.track_ids)
