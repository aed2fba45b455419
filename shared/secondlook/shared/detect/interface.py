"""What a network's own declarations say about its image input and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.shared.detect.declaration import Declaration
from secondlook.shared.detect.identify import OutputShape
from secondlook.shared.detect.input_format import InputFormat
from secondlook.shared.detect.network import Buffer, Network, Value
from secondlook.shared.errors import InvalidInput, InvalidModel, ModelFailure
from secondlook.shared.values.frame import check_size

SIZE_INPUT = "orig_target_sizes"
"""The second input of a ``detr_triple`` network: int64 (batch, 2), width and height."""

IMAGE_DTYPES = (np.uint8, np.float16, np.float32)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The image input of a network, as its file declares it.

    Attributes:
        name: what the network calls it.
        kind: its runtime's name of its type.
        dtype: of its elements.
        channels_last: (batch, height, width, 3), else (batch, 3, height, width).
        batch: fixed batch size; ``None`` for any.
        width, height: pixels; ``None`` where open.
    """

    name: str
    kind: str
    dtype: np.dtype[Any]
    channels_last: bool
    batch: int | None
    width: int | None
    height: int | None

    def __str__(self) -> str:
        size = f"{self.height or '?'}, {self.width or '?'}"
        shape = f"{size}, 3" if self.channels_last else f"3, {size}"
        return f"{self.name} {self.kind} ({self.batch or 'batch'}, {shape})"


def image_input(where: Path, values: Sequence[Value]) -> ImageInput:
    """Find the image among a network's inputs.

    Raises:
        InvalidModel: there is none, there are several, or it is no colour image.
    """
    shown = ", ".join(str(value) for value in values) or "(none)"
    images = [value for value in values if value.name != SIZE_INPUT]
    if len(images) != 1 or len(images[0].shape) != 4 or images[0].dtype not in IMAGE_DTYPES:
        raise InvalidModel(
            f"{where}: its inputs are {shown}; one image of 4 axes, uint8 or float, is expected",
            remedy="export a detector without further inputs",
        )
    (image,) = images
    assert image.dtype is not None
    batch, *sides = image.shape
    channels_last = sides[2] == 3 and sides[0] != 3
    height, width, channels = sides if channels_last else (sides[1], sides[2], sides[0])
    if channels != 3:
        raise InvalidModel(
            f"{where}: its input {shown} takes {channels or 'any number of'} channels; "
            "3 (colour) are needed, as (batch, 3, h, w) or (batch, h, w, 3)",
            remedy="export it for colour images",
        )
    return ImageInput(image.name, image.kind, image.dtype, channels_last, batch, width, height)


def input_size(where: Path, image: ImageInput, declared: Declaration) -> tuple[int, int]:
    """Width and height to feed, pixels: the network's own, else the declared ones.

    Raises:
        InvalidModel: neither is known, or no image has such a size.
    """
    width, height = image.width, image.height
    if width is None or height is None:
        if declared.size is None:
            raise InvalidModel(
                f"{where}: its input {image} is of open size",
                remedy=f"state size = [width, height] in a sidecar {where.with_suffix('.toml')}",
            )
        width, height = width or declared.size[0], height or declared.size[1]
    try:
        check_size(width, height, "network input")
    except InvalidInput as error:
        raise InvalidModel(f"{where}: {error.message}") from error
    return width, height


def network_outputs(
    where: Path, network: Network, image: ImageInput, width: int, height: int
) -> list[OutputShape]:
    """The shape of each output, as far as it can be known.

    Raises:
        InvalidModel: the network does not say, and cannot run to find out.
    """
    values = network.outputs
    known = [value.shape[1:] for value in values]
    # An output without a shape is one of unknown rank; an open input may not take this size.
    unsaid = any(not value.shape or None in value.shape[1:] for value in values)
    if unsaid or image.width is None or image.height is None:
        known = _shapes_of_a_run(where, network, image, width, height)
    return [
        OutputShape(value.name, shape, value.dtype is not None and value.dtype.kind in "iu")
        for value, shape in zip(values, known, strict=True)
    ]


def _shapes_of_a_run(
    where: Path, network: Network, image: ImageInput, width: int, height: int
) -> list[tuple[int | None, ...]]:
    """What one run on an empty picture gives, without the batch axis."""
    batch = image.batch or 1
    form = InputFormat(width, height, image.dtype, image.channels_last)
    feed: dict[str, Buffer] = {image.name: np.zeros(form.shape(batch), form.dtype)}
    if any(value.name == SIZE_INPUT for value in network.inputs):
        feed[SIZE_INPUT] = np.full((batch, 2), (width, height), np.int64)
    try:
        return [array.shape[1:] for array in network.run(feed, batch)]
    except ModelFailure as error:
        raise InvalidModel(
            f"{where}: cannot run on an empty picture of {width}x{height}: {error.message}"
        ) from error
