"""Pictures as video encoders take them, and what the canvas needs of an encoder."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.uint8]
"""uint8 (3 * height / 2, width): Y, U and V of 4:2:0, sides even."""


class PlanesEncoder(Protocol):
    """One stream of units; the first one is a key frame and no other is."""

    def encode(self, planes: Planes) -> bytes:
        """The unit of the next picture.

        Raises:
            SecondlookError: the encoder gave none; it cannot be used any more.
        """
        ...
