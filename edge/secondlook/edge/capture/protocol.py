"""What a source of frames is, inside the capture process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import SourceError
from secondlook.shared.values import Detections


class UnusableSource(SourceError):
    """A source that this machine can never open; trying again is useless."""

    retriable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a source needs to know beside its URL. Plain values: they cross a process border.

    Attributes:
        fps: frames a second that replace the header's; 0.0 trusts the header.
        open_timeout_s: seconds to connect.
        read_timeout_s: seconds to wait for data once connected.
        decode_threads: threads of the video decoder; 0 lets it choose.
        rtsp_transport: "tcp" or "udp".
    """

    fps: float = 0.0
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    decode_threads: int = 1
    rtsp_transport: str = "tcp"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says about itself once it is open.

    Attributes:
        width: width of the frames, pixels; 0 where only the first frame will tell.
        height: height of the frames, pixels; 0 where only the first frame will tell.
        fps: frames a second, 0.0 where unknown; headers lie, so a hint only.
        frames: length in frames; ``None`` for a live stream or where unknown; a hint as well.
        live: frames are lost while nobody reads.
        backend: what decodes ("PyAV 18.1.0 / h264", "OpenCV V4L2", "images", "sim").
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
        image: uint8 (height, width, 3), BGR; any strides. Valid until the next ``grab``.
        truth: what is really there (``sim://`` only).
        ignore: bool (n,), rows of ``truth`` too small or hidden to be counted (``sim://`` only).
    """

    image: npt.NDArray[np.uint8]
    truth: Detections | None = None
    ignore: npt.NDArray[np.bool_] | None = None


class FrameSource(Protocol):
    """Decodes one stream. Lives in a capture process of its own; blocking.

    ``grab`` and ``retrieve`` are apart so that a frame which the analysis rate skips is never
    converted, drawn or copied.

    Implementations MUST:
      - raise `SourceError` naming the URL (without its password) and the remedy when they cannot
        open or go on; `InvalidInput` when the URL itself can never work;
      - give frames in order, of one size unless the stream itself changes it;
      - refuse absurd sizes (`secondlook.shared.values.frame.check_size`) before allocating them.
    """

    def open(self) -> SourceInfo:
        """Connect or open; called once, before ``grab``."""
        ...

    def grab(self) -> float | None:
        """Go to the next frame.

        Returns:
            Its time in the stream, seconds from the first frame, which is 0.0; never goes back.
            ``None`` at the end of the stream.
        """
        ...

    def retrieve(self) -> SourceFrame:
        """The frame that ``grab`` went to. May be called at most once for each ``grab``."""
        ...

    def close(self) -> None:
        """Release the decoder. Safe to repeat, and without ``open``."""
        ...


SourceFactory = Callable[[str, SourceOptions], FrameSource]
"""From a URL to a source that is not open yet; raises `InvalidInput`."""
