"""From a request to tensors: views on the bytes that came, no element touched.

What is checked here is what only the wire knows: that the bytes are as many as the shape says, that
the datatype is the one declared, that nothing is there twice. Whether the shape is one that the
model takes is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from secondlook.cloud.engine.tensors import DTYPES, Array, Signature
from secondlook.cloud.rpc.inference.bytes_tensor import split
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput

MAX_RANK = 32
"""Axes of one array: what the oldest numpy takes."""

MAX_AXIS = 2**48
"""Longest axis: beyond, numpy cannot count the bytes even of an empty array."""

MAX_SIZES = 64
"""Shapes of one model that are remembered with the bytes they need."""

_UNSIGNED = "uint_contents"
_SIGNED = "int_contents"
TYPED: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "UINT8": _UNSIGNED,
    "UINT16": _UNSIGNED,
    "UINT32": _UNSIGNED,
    "UINT64": "uint64_contents",
    "INT8": _SIGNED,
    "INT16": _SIGNED,
    "INT32": _SIGNED,
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Field of `InferTensorContents` by datatype; FP16 and BF16 travel as raw bytes alone."""

# The type of the elements of a field, where it is wider than the tensor's.
_WIDE = {_UNSIGNED: np.dtype(np.uint32), _SIGNED: np.dtype(np.int32)}


class Reader:
    """Reads requests for models of one signature; made once, used for each request.

    Args:
        signature: what the model takes and gives.
    """

    def __init__(self, signature: Signature) -> None:
        self._datatypes = {spec.name: spec.dtype for spec in signature.inputs}
        self._outputs = frozenset(spec.name for spec in signature.outputs)
        self._sizes: dict[tuple[str, tuple[int, ...]], tuple[np.dtype[Any], int]] = {}

    def tensors(self, request: pb.ModelInferRequest) -> dict[str, Array]:
        """Every input by name. Numeric arrays are views on the request's bytes, not writable.

        Raises:
            InvalidInput: an input is unknown, twice there, of another datatype, of a shape that
                cannot be, or has other than the bytes its shape needs.
        """
        inputs, raws = request.inputs, request.raw_input_contents
        here, raw = len(inputs), len(raws)
        # Told before each is looked at: a request may hold very many.
        if here > len(self._datatypes):
            raise InvalidInput(f"{here} inputs; inputs are {sorted(self._datatypes)}")
        if raw and raw != here:
            raise InvalidInput(f"{raw} raw_input_contents for {here} inputs; one each expected")
        found: dict[str, Array] = {}
        for place, tensor in enumerate(inputs):
            name, datatype = tensor.name, tensor.datatype
            declared = self._datatypes.get(name)
            if declared is None:
                raise InvalidInput(
                    f"unexpected input {_short(name)}; inputs are {sorted(self._datatypes)}"
                )
            if datatype != declared:
                raise InvalidInput(
                    f"input {name!r} is {_short(datatype)}; {declared} expected",
                )
            if name in found:
                raise InvalidInput(f"input {name!r} is there twice")
            if tensor.parameters:
                _check_parameters(name, tensor.parameters)
            # Of a slice: going through the field itself asks for each axis by its number.
            shape = tuple(tensor.shape[:])
            if raw:
                if tensor.HasField("contents"):
                    raise InvalidInput(
                        f"input {name!r} has contents, and the request raw_input_contents; "
                        "one of both expected"
                    )
                found[name] = self._from_raw(name, datatype, shape, raws[place])
            else:
                found[name] = from_contents(name, datatype, shape, tensor.contents)
        return found

    def _from_raw(self, name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Array:
        """See `from_raw`; what has a shape that was fine before is not looked at again."""
        known = self._sizes.get((datatype, shape))
        if known is not None and known[1] == len(raw):
            seen: Array = np.ndarray(shape, known[0], raw)
            return seen
        array = from_raw(name, datatype, shape, raw)
        if array.size and datatype not in ("BYTES", "BOOL"):
            if len(self._sizes) >= MAX_SIZES:
                self._sizes.clear()
            self._sizes[datatype, shape] = array.dtype, len(raw)
        return array

    def outputs(self, request: pb.ModelInferRequest) -> tuple[str, ...]:
        """Names of the outputs that are wanted; all where empty.

        Raises:
            InvalidInput: one is unknown, twice there, or wanted as something else than a tensor.
        """
        wanted = request.outputs
        if not wanted:
            return ()
        if len(wanted) > len(self._outputs):
            raise InvalidInput(f"{len(wanted)} outputs; outputs are {sorted(self._outputs)}")
        names: list[str] = []
        for output in wanted:
            name = output.name
            if name not in self._outputs:
                raise InvalidInput(
                    f"no output is named {_short(name)}; outputs are {sorted(self._outputs)}"
                )
            if name in names:
                raise InvalidInput(f"output {name!r} is wanted twice")
            if output.parameters:
                _check_parameters(name, output.parameters)
            names.append(name)
        return tuple(names)


def from_raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Array:
    """A tensor from its raw bytes: a view, except for BYTES, BOOL and empty tensors.

    Raises:
        InvalidInput: the shape cannot be, or needs another number of bytes.
    """
    count = _count(name, shape)
    if datatype == "BYTES":
        return _objects(split(name, raw, count), shape)
    dtype = DTYPES[datatype]
    if count * dtype.itemsize != len(raw):
        raise InvalidInput(
            f"input {name!r} has {len(raw)} bytes; {datatype} of shape {list(shape)} "
            f"has {count * dtype.itemsize}"
        )
    if not count:
        return np.empty(shape, dtype)
    if datatype == "BOOL":
        # A byte that is neither 0 nor 1 would be a boolean that equals neither.
        return np.not_equal(np.frombuffer(raw, np.uint8).reshape(shape), 0)
    return np.frombuffer(raw, dtype).reshape(shape)


def from_contents(
    name: str, datatype: str, shape: tuple[int, ...], contents: pb.InferTensorContents
) -> Array:
    """A tensor from typed contents: a copy, element by element.

    Raises:
        InvalidInput: the shape cannot be, or there are not as many elements; they are in the field
            of another type, or too large for it.
    """
    count = _count(name, shape)
    field = TYPED.get(datatype)
    if field is None:
        raise InvalidInput(f"input {name!r}: {datatype} travels in raw_input_contents alone")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != field:
            raise InvalidInput(f"input {name!r}: {datatype} belongs in {field}")
    elements = getattr(contents, field)
    if len(elements) != count:
        raise InvalidInput(
            f"input {name!r} has {len(elements)} elements; shape {list(shape)} has {count}"
        )
    if datatype == "BYTES":
        return _objects(list(elements), shape)
    dtype = DTYPES[datatype]
    wide = np.fromiter(elements, _WIDE.get(field, dtype), count)
    if wide.dtype != dtype:
        limits = np.iinfo(dtype)
        if count and (wide.min() < limits.min or wide.max() > limits.max):
            raise InvalidInput(
                f"input {name!r} holds {wide.min()} to {wide.max()}; {datatype} goes from "
                f"{limits.min} to {limits.max}"
            )
        wide = wide.astype(dtype)
    return wide.reshape(shape)


def _count(name: str, shape: tuple[int, ...]) -> int:
    """How many elements; the shape is one that an array can have."""
    if len(shape) > MAX_RANK:
        raise InvalidInput(f"input {name!r} has {len(shape)} axes; at most {MAX_RANK} are taken")
    for axis in shape:
        if not 0 <= axis <= MAX_AXIS:
            raise InvalidInput(f"input {name!r} has shape {list(shape)}; {axis} cannot be")
    # Of Python's integers: it does not overflow.
    count = prod(shape)
    if not count and prod(max(axis, 1) for axis in shape) > MAX_AXIS:
        raise InvalidInput(f"input {name!r} has shape {list(shape)}, which cannot be")
    return count


def _objects(elements: Sequence[bytes], shape: tuple[int, ...]) -> Array:
    array: Array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)


def _check_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what would change the meaning of a tensor; pass over what does not."""
    for key in parameters:
        if key.startswith("shared_memory"):
            raise InvalidInput(f"{name!r}: shared memory is not offered; send the bytes")
        if key == "classification":
            raise InvalidInput(f"{name!r}: classification is not offered; ask for the tensor")


def _short(name: str) -> str:
    """A name that the caller gave, for an error; a long one is cut."""
    return repr(name) if len(name) <= 64 else f"{name[:61]!r}..."
