"""What a network's own declarations say about its image input and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.shared.detect.binding import NetworkOutput
from secondlook.shared.detect.declaration import Declaration
from secondlook.shared.detect.identify import OutputShape
from secondlook.shared.detect.input_format import InputFormat
from secondlook.shared.detect.session import FOREIGN, reason_of
from secondlook.shared.errors import InvalidInput, InvalidModel
from secondlook.shared.values.frame import check_size

SIZE_INPUT = "orig_target_sizes"
"""The second input of a ``detr_triple`` network: int64 (batch, 2), width and height."""

DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
IMAGE_DTYPES = ("tensor(uint8)", "tensor(float16)", "tensor(float)")


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The image input of a network, as its file declares it.

    Attributes:
        name: what the network calls it.
        kind: ONNX Runtime's name of its type.
        channels_last: (batch, height, width, 3), else (batch, 3, height, width).
        batch: fixed batch size; ``None`` for any.
        width, height: pixels; ``None`` where open.
    """

    name: str
    kind: str
    channels_last: bool
    batch: int | None
    width: int | None
    height: int | None

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of its elements."""
        return DTYPES[self.kind]

    def __str__(self) -> str:
        size = f"{self.height or '?'}, {self.width or '?'}"
        shape = f"{size}, 3" if self.channels_last else f"3, {size}"
        return f"{self.name} {self.kind} ({self.batch or 'batch'}, {shape})"


def image_input(file: Path, session: Any) -> ImageInput:
    """Find the image input of an open session.

    Raises:
        InvalidModel: there is none, there are several, or it is no colour image.
    """
    values = session.get_inputs()
    shown = ", ".join(f"{v.name} {v.type} {v.shape}" for v in values) or "(none)"
    images = [v for v in values if v.name != SIZE_INPUT]
    if len(images) != 1 or len(images[0].shape) != 4 or images[0].type not in IMAGE_DTYPES:
        raise InvalidModel(
            f"{file}: its inputs are {shown}; one image of 4 axes, uint8 or float, is expected",
            remedy="export a detector without further inputs",
        )
    batch, *sides = _lengths(images[0].shape)
    channels_last = sides[2] == 3 and sides[0] != 3
    height, width, channels = sides if channels_last else (sides[1], sides[2], sides[0])
    if channels != 3:
        raise InvalidModel(
            f"{file}: its input {shown} takes {channels or 'any number of'} channels; "
            "3 (colour) are needed, as (batch, 3, h, w) or (batch, h, w, 3)",
            remedy="export it for colour images",
        )
    return ImageInput(images[0].name, images[0].type, channels_last, batch, width, height)


def input_size(file: Path, image: ImageInput, declared: Declaration) -> tuple[int, int]:
    """Width and height to feed, pixels: the network's own, else the declared ones.

    Raises:
        InvalidModel: neither is known, or no image has such a size.
    """
    width, height = image.width, image.height
    if width is None or height is None:
        if declared.size is None:
            raise InvalidModel(
                f"{file}: its input {image} is of open size",
                remedy=f"state size = [width, height] in a sidecar {file.with_suffix('.toml')}",
            )
        width, height = width or declared.size[0], height or declared.size[1]
    try:
        check_size(width, height, "network input")
    except InvalidInput as error:
        raise InvalidModel(f"{file}: {error.message}") from error
    return width, height


def network_outputs(
    file: Path, session: Any, image: ImageInput, width: int, height: int
) -> list[tuple[NetworkOutput, OutputShape]]:
    """Each output: how to bind it, and its shape as far as it can be known.

    Raises:
        InvalidModel: the file does not say, and the network cannot run to find out.
    """
    values = session.get_outputs()
    declared = [_lengths(value.shape) for value in values]
    known = [tuple(shape[1:]) for shape in declared]
    # An output without a shape is one of unknown rank; an open input may not take this size.
    unsaid = any(not shape or None in shape[1:] for shape in declared)
    if unsaid or image.width is None or image.height is None:
        known = _shapes_of_a_run(file, session, image, width, height)
    outputs = []
    for value, shape, actual in zip(values, declared, known, strict=True):
        dtype = DTYPES.get(value.type)
        fixed = tuple(n for n in shape[1:] if n is not None)
        bindable = bool(shape) and len(fixed) == len(shape) - 1
        integer = dtype is not None and np.dtype(dtype).kind in "iu"
        outputs.append(
            (
                NetworkOutput(value.name, fixed if bindable else None, dtype),
                OutputShape(value.name, actual, integer),
            )
        )
    return outputs


def _lengths(shape: Sequence[Any]) -> list[int | None]:
    return [n if isinstance(n, int) and n > 0 else None for n in shape]


def _shapes_of_a_run(
    file: Path, session: Any, image: ImageInput, width: int, height: int
) -> list[tuple[int | None, ...]]:
    """What one run on an empty picture gives, without the batch axis."""
    batch = image.batch or 1
    form = InputFormat(width, height, image.dtype, image.channels_last)
    feed: dict[str, npt.NDArray[Any]] = {image.name: np.zeros(form.shape(batch), form.dtype)}
    if any(value.name == SIZE_INPUT for value in session.get_inputs()):
        feed[SIZE_INPUT] = np.full((batch, 2), (width, height), np.int64)
    try:
        return [np.asarray(array).shape[1:] for array in session.run(None, feed)]
    except FOREIGN as error:
        raise InvalidModel(
            f"{file}: cannot run on an empty picture of {width}x{height}: {reason_of(error)}"
        ) from error
