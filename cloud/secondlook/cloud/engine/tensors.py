"""Tensors as the Open Inference Protocol names them, and what a model takes and gives.

Source of the names: the Open Inference Protocol (KServe v2), "Tensor Data Types".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    # numpy has no such number: its bits travel.
    "BF16": np.dtype(np.uint16),
    # Elements are `bytes`.
    "BYTES": np.dtype(np.object_),
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: what the model calls it.
        dtype: its name in the protocol, a key of `DTYPES`.
        shape: lengths without the batch axis; -1 where any length goes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape, without the batch axis, goes."""
        # Most often equal, and asked for each tensor of each request.
        return shape == self.shape or (
            len(shape) == len(self.shape)
            and all(
                wanted in (-1, length) for wanted, length in zip(self.shape, shape, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        inputs: its inputs.
        outputs: its outputs.
        max_batch: most rows in one call; 0 where the model has no batch axis.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch: int

    def rows(self, tensors: Tensors) -> int:
        """How many rows these inputs have; 1 for a model without batch axis.

        Raises:
            InvalidInput: an input is missing, unknown, of another type or shape; rows differ.
        """
        rows: int | None = None
        for spec in self.inputs:
            array = tensors.get(spec.name)
            if array is None:
                raise self._misnamed(tensors)
            rows = self._rows_of(spec, array, rows)
        if len(tensors) > len(self.inputs):
            raise self._misnamed(tensors)
        return rows or 1

    def _misnamed(self, tensors: Tensors) -> InvalidInput:
        """What to say where names are not those of the inputs."""
        names = {spec.name for spec in self.inputs}
        unknown = sorted(tensors.keys() - names)
        if unknown:
            return InvalidInput(f"unexpected input {unknown[0]!r}; inputs are {sorted(names)}")
        missing = next(spec.name for spec in self.inputs if spec.name not in tensors)
        return InvalidInput(f"input {missing!r} is missing; inputs are {sorted(names)}")

    def _rows_of(self, spec: TensorSpec, array: Array, rows: int | None) -> int | None:
        if array.dtype != DTYPES[spec.dtype]:
            raise InvalidInput(f"input {spec.name!r} is {array.dtype}; {spec.dtype} expected")
        shape = array.shape
        if self.max_batch:
            if not shape or not 1 <= shape[0] <= self.max_batch:
                raise InvalidInput(
                    f"input {spec.name!r} has shape {list(shape)}; "
                    f"a first axis of 1 to {self.max_batch} rows is expected"
                )
            if rows is not None and rows != shape[0]:
                raise InvalidInput(f"input {spec.name!r} has {shape[0]} rows, another {rows}")
            rows, shape = shape[0], shape[1:]
        if not spec.accepts(shape):
            raise InvalidInput(
                f"input {spec.name!r} has shape {list(array.shape)}; "
                f"{[-1] * bool(self.max_batch) + list(spec.shape)} expected"
            )
        return rows
