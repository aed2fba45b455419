"""What a network wants to be fed, and the buffer that feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.shared.letterbox import PAD, Fit, Letterbox, Pixels


@dataclass(frozen=True, slots=True)
class InputFormat:
    """How pixels are laid out in the network's input.

    Attributes:
        width, height: size of the input, pixels.
        dtype: uint8, float16 or float32.
        channels_last: axes are (batch, height, width, 3), else (batch, 3, height, width).
        rgb: red first, else blue first.
        unit_range: values from 0 to 1, else 0 to 255.
        fit: where the image lies.
        pad: grey of the padding, 0 to 255.
    """

    width: int
    height: int
    dtype: npt.DTypeLike = np.float32
    channels_last: bool = False
    rgb: bool = False
    unit_range: bool = False
    fit: Fit = Fit.CENTRED
    pad: int = PAD

    def shape(self, batch: int) -> tuple[int, int, int, int]:
        """Shape of the input for ``batch`` images."""
        if self.channels_last:
            return batch, self.height, self.width, 3
        return batch, 3, self.height, self.width


class InputBuffer:
    """The network's input, written again and again in place.

    A uint8 BGR channels-last network gets its image by one resize straight into this buffer; any
    other by that resize into a scratch image, then one conversion per colour plane into place.
    The padding is painted only when an image of another size comes into its row.
    """

    def __init__(self, form: InputFormat, batch: int) -> None:
        """Allocate for ``batch`` images.

        Args:
            form: what the network wants.
            batch: most images at once.
        """
        self.array: npt.NDArray[Any] = np.zeros(form.shape(batch), form.dtype)
        self._form = form
        self._places: list[Letterbox | None] = [None] * batch
        values = np.arange(256, dtype=np.float32)
        self._levels = (values / 255 if form.unit_range else values).astype(form.dtype)
        self._scale = np.float32(1 / 255) if form.unit_range else None
        self._direct = form.channels_last and self.array.dtype == np.uint8
        pixels = form.width * form.height
        self._scratch = np.empty(0 if self._direct else pixels * 3, np.uint8)
        self._planes = np.empty(0 if self._direct else pixels * 3, np.uint8)
        self.bytes_written = 0

    def write(self, row: int, image: Pixels) -> Letterbox:
        """Put ``image`` (uint8 (h, w, 3) BGR, not written to) into ``row``; tell where it lies."""
        form = self._form
        height, width = image.shape[:2]
        place = Letterbox.fit(width, height, form.width, form.height, form.fit)
        moved = self._places[row] != place
        self._places[row] = None  # until the row is whole again
        if self._direct:
            self._write_direct(row, image, place, moved)
        else:
            self._write_planes(row, image, place, moved)
        self._places[row] = place
        return place

    def _write_direct(self, row: int, image: Pixels, place: Letterbox, moved: bool) -> None:
        out = self.array[row]
        place.draw(image, out, self._form.pad, repaint=moved)
        if self._form.rgb:
            inner = out[place.rows, place.columns]
            cv2.cvtColor(inner, cv2.COLOR_BGR2RGB, inner)
        self.bytes_written += place.inner_width * place.inner_height * 3

    def _write_planes(self, row: int, image: Pixels, place: Letterbox, moved: bool) -> None:
        form, shape = self._form, (place.inner_height, place.inner_width)
        pixels = shape[0] * shape[1]
        if image.shape[:2] == shape:
            scaled = image
        else:
            scaled = self._scratch[: pixels * 3].reshape(*shape, 3)
            place.scale_into(image, scaled)
        # Deinterleaving bytes first, then widening each plane, is 4 times faster than widening
        # with a stride of 3 (0.14 against 0.54 ms for 640 x 360).
        planes = [self._planes[i * pixels : (i + 1) * pixels].reshape(shape) for i in range(3)]
        cv2.split(scaled, planes)
        target = self.array[row]
        if form.channels_last:
            target = target.transpose(2, 0, 1)
        if moved:
            target[:] = self._levels[form.pad]
        for channel in range(3):
            out = target[channel, place.rows, place.columns]
            self._widen(planes[2 - channel if form.rgb else channel], out)
        self.bytes_written += pixels * 3 * (2 + self.array.itemsize)

    def _widen(self, plane: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        """One colour plane of bytes as the network's numbers."""
        if out.dtype == np.float16:
            # A table is 3 times faster than numpy's conversion, and exact.
            np.take(self._levels.view(np.uint16), plane, out=out.view(np.uint16), mode="clip")
            return
        np.copyto(out, plane)
        if self._scale is not None:
            np.multiply(out, self._scale, out=out)
