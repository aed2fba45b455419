"""A network in ONNX Runtime, on memory that stays bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from secondlook.shared.detect.binding import BoundBuffers, output_buffers
from secondlook.shared.detect.network import Buffer, Value
from secondlook.shared.detect.session import FOREIGN, OpenSession, reason_of
from secondlook.shared.errors import ModelFailure

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}


class OnnxNetwork:
    """See `Network`. Inputs are read in place; outputs of known shape are written in place.

    Args:
        opened: an open session; others may run it as well.

    Raises:
        UnicodeDecodeError: it names its parts in no known text encoding.
    """

    def __init__(self, opened: OpenSession) -> None:
        self._session: Any = opened.session
        self.provider = opened.provider
        self.inputs = tuple(_value(described) for described in opened.session.get_inputs())
        self.outputs = tuple(_value(described) for described in opened.session.get_outputs())
        self._feed: Mapping[str, Buffer] | None = None
        self._memory: list[Buffer | None] = []
        self._bound: dict[int, BoundBuffers] = {}

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """See `Network.run`."""
        bound = self._bind(feed, batch)
        try:
            self._session.run_with_iobinding(bound.binding)
            return bound.read()
        except FOREIGN as error:
            raise ModelFailure(f"could not run: {reason_of(error)}") from error

    def close(self) -> None:
        """See `Network.close`."""
        self._session = self._feed = None
        self._bound.clear()

    def _bind(self, feed: Mapping[str, Buffer], batch: int) -> BoundBuffers:
        """The binding for ``batch`` rows; made once per size, all over the same memory."""
        if feed is not self._feed:
            rows = min(len(array) for array in feed.values())
            self._memory = output_buffers(self.outputs, rows)
            self._bound = {}
            self._feed = feed
        bound = self._bound.get(batch)
        if bound is None:
            outputs = dict(zip((value.name for value in self.outputs), self._memory, strict=True))
            try:
                bound = BoundBuffers(self._session, feed, outputs, batch)
            except FOREIGN as error:
                why = reason_of(error)
                raise ModelFailure(f"does not take a batch of {batch}: {why}") from error
            self._bound[batch] = bound
        return bound


def _value(described: Any) -> Value:
    lengths = (n if isinstance(n, int) and n > 0 else None for n in described.shape)
    return Value(described.name, described.type, DTYPES.get(described.type), tuple(lengths))
