"""What the pipeline needs of a carrier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secondlook.edge.regions.layout import Canonical
from secondlook.shared.values import CanvasUpdate, ImageEncoding, Placement, Region


@dataclass(frozen=True, slots=True)
class Carried:
    """Regions of a frame, ready to be sent.

    Attributes:
        image: the encoded picture, or the access unit of an update.
        encoding: its codec.
        placements: where each region lies in the picture. They may cover more than was asked,
            never less: what they cover is what the verdict speaks for.
        copied_bytes: pixels written on the way to the encoder, bytes.
        canvas: where in its stream the update belongs; ``None`` for a carrier without state.
        quality: of the codec, as it was used in the end; for a video its quantiser.
    """

    image: bytes
    encoding: ImageEncoding
    placements: tuple[Placement, ...]
    copied_bytes: int
    canvas: CanvasUpdate | None = None
    quality: int = 0


class Carrier(Protocol):
    """From regions of a frame to bytes that the cloud can judge.

    Every carrier MUST

    - show, at each placement, the pixels of its region of ``image`` at the canonical size;
    - cover each region asked for with its placements, and the whole frame where the whole frame was
      asked;
    - give updates that the cloud can decode in the order in which `encode` gave them, beginning
      with a key frame;
    - give a key frame of the whole frame next after `lost` was told of an update of the present
      epoch, and where the size of the frames changes;
    - leave ``image`` as it is, and keep no reference to it: frames are lent memory;
    - keep what it needs bounded by the size of a frame.

    Not safe for concurrent use; one carrier belongs to one camera.
    """

    def encode(
        self,
        image: npt.NDArray[np.uint8],
        regions: tuple[Region, ...],
        frame: Canonical,
        max_bytes: int,
    ) -> Carried:
        """The regions of the next frame that is asked about.

        Args:
            image: uint8 (height, width, 3), BGR, the native frame.
            regions: inside the frame, at least one.
            frame: the frame's size and its canonical size.
            max_bytes: largest picture that may be sent.

        Raises:
            InvalidInput: no region, or the picture cannot be made small enough; the carrier goes
                on with the next frame.
        """
        ...

    def aim(self, side_px: float) -> None:
        """Suit the quality to the objects: the smaller they are, the more each pixel says.

        Args:
            side_px: typical side of the objects that are asked about, canonical pixels.
        """
        ...

    def lost(self, update: CanvasUpdate | None) -> None:
        """An update did not reach the cloud, or the cloud cannot go on from it.

        Args:
            update: of which `encode` told; of an earlier epoch, it is of no interest any more.
        """
        ...

    def estimate(self, regions: tuple[Region, ...], frame: Canonical) -> int:
        """Bytes that `encode` would probably give for these regions now, headers apart."""
        ...
