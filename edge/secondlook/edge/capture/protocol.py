"""What a source of frames is, inside the capture process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Detections


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says about itself once it is open.

    Attributes:
        width: width of the frames, pixels; 0 where only the first frame will tell.
        height: height of the frames, pixels; 0 where only the first frame will tell.
        fps: frames a second, 0.0 where unknown; headers lie, so a hint only.
        frames: length in frames; ``None`` for a live stream or where unknown.
        live: frames are lost while nobody reads.
        backend: what decodes ("PyAV 18 / h264", "OpenCV V4L2", "images", "sim").
    """

    width: int
    height: int
    fps: float
    frames: int | None
    live: bool
    backend: str


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One decoded image.

    Attributes:
        image: uint8 (height, width, 3), BGR. Valid until the next call of ``read``.
        media_s: time of the frame in its stream, seconds from its start; never goes back.
        truth: what is really there (``sim://`` only).
        ignore: bool (n,), rows of ``truth`` too small or hidden to be counted (``sim://`` only).
    """

    image: npt.NDArray[np.uint8]
    media_s: float
    truth: Detections | None = None
    ignore: npt.NDArray[np.bool_] | None = None


class FrameSource(Protocol):
    """Decodes one stream. Lives in a capture process of its own; blocking.

    Implementations MUST:
      - raise `SourceError` naming the URL (without its password) and the remedy when they cannot
        open or go on; `InvalidInput` when the URL itself can never work;
      - give frames in order, of one size unless the stream itself changes it;
      - refuse absurd sizes (`secondlook.shared.values.frame.check_size`) before allocating them.
    """

    def open(self) -> SourceInfo:
        """Connect or open; called once, before ``read``."""
        ...

    def read(self) -> SourceFrame | None:
        """The next frame; ``None`` at the end of the stream."""
        ...

    def close(self) -> None:
        """Release the decoder. Safe to repeat."""
        ...
