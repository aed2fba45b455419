"""Tensors that numpy and ONNX Runtime write differently: text, and bfloat16."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from secondlook.cloud.engine.tensors import Array, Tensors, TensorSpec
from secondlook.shared.detect.runtime import ort
from secondlook.shared.errors import InvalidInput, InvalidModel

_BFLOAT16 = 16
"""Its number in ONNX's ``TensorProto.DataType``."""


def texts_in(inputs: Tensors, specs: Iterable[TensorSpec]) -> dict[str, Array]:
    """The inputs with text where the protocol has bytes.

    Raises:
        InvalidInput: an element is no UTF-8; ONNX Runtime takes no other bytes.
    """
    feed = dict(inputs)
    for spec in specs:
        if spec.dtype == "BYTES":
            array = inputs[spec.name]
            text = np.empty(array.size, np.object_)
            try:
                text[:] = [element.decode() for element in array.flat]
            except UnicodeDecodeError:
                raise InvalidInput(
                    f"input {spec.name!r} holds bytes that are no UTF-8 text; this model takes text"
                ) from None
            except AttributeError:
                raise InvalidInput(f"input {spec.name!r} holds what are no bytes") from None
            feed[spec.name] = text.reshape(array.shape)
    return feed


def texts_out(array: Array) -> Array:
    """Bytes for the text that ONNX Runtime gives."""
    flat = np.empty(array.size, np.object_)
    flat[:] = [element.encode() for element in array.flat]
    return flat.reshape(array.shape)


def check_bits() -> None:
    """Refuse a model with bfloat16 where this ONNX Runtime cannot be fed with it.

    Raises:
        InvalidModel: it is too old.
    """
    if not hasattr(ort.OrtValue, "ortvalue_from_numpy_with_onnx_type"):
        raise InvalidModel(
            f"onnxruntime {ort.__version__} takes no bfloat16", remedy="install a newer one"
        )


def run_bound(
    session: Any,
    feed: Tensors,
    names: Sequence[str],
    into: Mapping[str, Array],
    bits: frozenset[str] = frozenset(),
) -> dict[str, Array]:
    """Run a session on its inputs in place.

    Args:
        session: an ``onnxruntime.InferenceSession``.
        feed: its inputs, in the machine's memory.
        names: the outputs to give.
        into: arrays that outputs are written into; for those named that are not among them ONNX
            Runtime allocates.
        bits: names of inputs and outputs that are bfloat16.

    Returns:
        The outputs; those of ``into`` are its arrays.
    """
    binding = session.io_binding()
    # What is bound is read and written in place: the arrays must live until the run is over.
    held = [np.ascontiguousarray(array) for array in feed.values()]
    for name, array in zip(feed, held, strict=True):
        binding.bind_ortvalue_input(name, _value(array, name in bits))
    for name in names:
        if name in into:
            binding.bind_ortvalue_output(name, _value(into[name], name in bits))
        else:
            binding.bind_output(name)
    session.run_with_iobinding(binding)
    given = dict(into)
    if len(into) < len(names):
        values = zip(names, binding.get_outputs(), strict=True)
        given = {n: into[n] if n in into else _array(v, n in bits) for n, v in values}
    return given


def _value(array: Array, bits: bool) -> Any:
    if bits:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(array)


def _array(value: Any, bits: bool) -> Array:
    if not bits:
        array: Array = value.numpy()
        return array
    shape = tuple(value.shape())
    size = int(np.prod(shape, dtype=np.int64))
    # numpy() refuses bfloat16; its bits are read from where they lie.
    raw = ctypes.string_at(value.data_ptr(), 2 * size) if size else b""
    return np.frombuffer(raw, np.uint16).reshape(shape)
