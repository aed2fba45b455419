"""What a capture gives to the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Detections, Frame


@dataclass(frozen=True, slots=True, eq=False)
class CapturedFrame:
    """A frame, and what its source knows about it.

    Attributes:
        frame: the frame. Its image is read-only shared memory, lent until it and all views of it
            are dropped. One who keeps many frames does no harm, but later ones are then copied.
        media_s: time in the stream, seconds; never goes back, also not over a reconnect.
        truth: what is really there (``sim://`` only).
        ignore: bool (n,), rows of ``truth`` that do not count (``sim://`` only).
        decode_s: seconds the decoder worked for it, skipped frames included; for a live stream
            with the waiting for data.
        bytes_copied: bytes of pixels copied for it, in both processes.
    """

    frame: Frame
    media_s: float
    truth: Detections | None = None
    ignore: npt.NDArray[np.bool_] | None = None
    decode_s: float = 0.0
    bytes_copied: int = 0


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """Counts since the start.

    Attributes:
        frames: frames handed out.
        dropped: frames lost because a newer one came before anyone asked.
        skipped: frames passed over by the analysis rate.
        restarts: capture processes started after the first.
        crashes: capture processes that died without a word, or had to be killed.
        bytes_copied: bytes of pixels copied, in both processes.
    """

    frames: int = 0
    dropped: int = 0
    skipped: int = 0
    restarts: int = 0
    crashes: int = 0
    bytes_copied: int = 0
