"""SVT-AV1 for a canvas: one picture in, one unit out, nothing in it that needs not be there.

Low delay, so each picture gives its unit at once, and flat: the encoder's own ladder of finer and
coarser pictures assumes that all of a picture changes, and spends 10 kB on a canvas that stands
still.
"""

from __future__ import annotations

import os

from secondlook.edge.carrier.planes import Planes
from secondlook.edge.carrier.stream import EncoderStream, joined
from secondlook.edge.pipeline_settings import CanvasSettings

LEAST_SIDE_PX = 16
"""The encoder takes no smaller picture."""

_PRESETS = {"quick": "10", "good": "8", "best": "6"}
_PARAMS = {
    "pred-struct": "1",
    "lp": "1",
    "tune": "1",
    "scd": "0",
    "keyint": "-1",
    "use-fixed-qindex-offsets": "1",
}
_DELIMITER = b"\x12\x00"
"""Marks where a unit begins; a canvas has messages for that."""


class Av1Encoder:
    """One stream of units; the first one is a key frame and no other is.

    Args:
        width, height: size of the pictures, even, at least `LEAST_SIDE_PX`, pixels.
        settings: quality.

    Raises:
        MissingDependency: PyAV, or an FFmpeg with SVT-AV1, is not there.
    """

    def __init__(self, width: int, height: int, settings: CanvasSettings) -> None:
        # It says on the standard error what it is and how it is set, for each stream anew.
        os.environ.setdefault("SVT_LOG", "0")
        quality = crf_of(settings.quantiser)
        # In quarters of its steps; the encoder takes no more than 64 of them.
        finer = max(-64, min(63, 4 * (crf_of(settings.key_quantiser) - quality)))
        params = {**_PARAMS, "key-frame-qindex-offset": str(finer)}
        options = {
            "preset": _PRESETS[settings.effort],
            "crf": str(quality),
            "svtav1-params": joined(params),
        }
        self._stream = EncoderStream("libsvtav1", width, height, options)

    def encode(self, planes: Planes) -> bytes:
        """The unit of the next picture.

        Raises:
            SecondlookError: the encoder gave none; it cannot be used any more.
        """
        return self._stream.encode(planes).removeprefix(_DELIMITER)


def crf_of(quantiser: int) -> int:
    """SVT-AV1's number for about the quality that x264 gives with a quantiser.

    Measured on a street of 640 x 384: half the bytes are 6 of x264's steps and 11 of these, and
    x264's 26 looks to a detector like 30.
    """
    return max(1, min(63, round(30 + 1.9 * (quantiser - 26))))
