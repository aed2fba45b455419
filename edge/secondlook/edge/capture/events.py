"""What the agent hears from a capture process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.capture.header import Counts, FrameHeader
from secondlook.edge.capture.protocol import SourceInfo
from secondlook.shared.errors import SourceError
from secondlook.shared.values import Detections


class CaptureProcessDied(SourceError):
    """The capture process ended without a word: its decoder aborted, or it was killed."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The process runs, and begins to open the source."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The source is open."""

    info: SourceInfo
    overflow: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """The source lives, though no frame may come for ``seconds``."""

    seconds: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing was heard for ``seconds``; the process is about to be killed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Looped:
    """A recording starts again with frame ``sequence``, at ``media_s``."""

    sequence: int
    media_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """A frame.

    Attributes:
        header: what is known about it.
        image: uint8 (height, width, 3), BGR, read-only; its slot goes back when it is dropped.
        truth: see `SourceFrame.truth`.
        ignore: see `SourceFrame.ignore`.
        copied: bytes that this side had to copy, because too many slots were lent already.
    """

    header: FrameHeader
    image: npt.NDArray[np.uint8]
    truth: Detections | None
    ignore: npt.NDArray[np.bool_] | None
    copied: int


Event = Ready | Opened | Quiet | Stalled | Looped | Ended | Arrived
