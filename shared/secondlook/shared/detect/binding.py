"""Memory that a network reads and writes in place, call after call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secondlook.shared.detect.network import Buffer, Value, widened
from secondlook.shared.detect.runtime import ort


def output_buffers(outputs: Sequence[Value], batch: int) -> list[Buffer | None]:
    """One array per output for ``batch`` images; ``None`` where ONNX Runtime must allocate."""
    return [_buffer(output, batch) for output in outputs]


def _buffer(output: Value, batch: int) -> Buffer | None:
    fixed = tuple(length for length in output.shape[1:] if length is not None)
    # An output without a shape is one of unknown rank.
    if output.dtype is None or not output.shape or len(fixed) < len(output.shape) - 1:
        return None
    return np.zeros((batch, *fixed), output.dtype)


class BoundBuffers:
    """A session's inputs and outputs for one batch size, bound to memory that stays.

    Attributes:
        batch: how many images.
        binding: ONNX Runtime's binding.
    """

    def __init__(
        self,
        session: Any,
        inputs: Mapping[str, Buffer],
        outputs: Mapping[str, Buffer | None],
        batch: int,
    ) -> None:
        """Bind the first ``batch`` rows of each array.

        Args:
            session: an ``onnxruntime.InferenceSession``.
            inputs: by name; at least ``batch`` rows each.
            outputs: by name, in the session's order; ``None`` where ONNX Runtime allocates.
            batch: how many images.
        """
        self.batch = batch
        self.binding = session.io_binding()
        # ONNX Runtime reads and writes these arrays in place: they must live as long as it does.
        self._inputs = {name: array[:batch] for name, array in inputs.items()}
        self._outputs = [None if array is None else array[:batch] for array in outputs.values()]
        for name, array in self._inputs.items():
            self.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, buffer in zip(outputs, self._outputs, strict=True):
            if buffer is None:
                self.binding.bind_output(name)
            else:
                value = ort.OrtValue.ortvalue_from_numpy(buffer)
                self.binding.bind_ortvalue_output(name, value)

    def read(self) -> list[Buffer]:
        """The outputs of the last run, in order; half precision widened."""
        arrays = [buffer for buffer in self._outputs if buffer is not None]
        if len(arrays) < len(self._outputs):
            values = self.binding.get_outputs()
            arrays = [
                value.numpy() if buffer is None else buffer
                for value, buffer in zip(values, self._outputs, strict=True)
            ]
        return widened(arrays)
