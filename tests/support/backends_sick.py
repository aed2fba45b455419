"""A backend that fails, hangs or takes its time when told; its time is a test's clock."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from secondlook.cloud.engine.tensors import Array, Signature, Tensors, TensorSpec
from secondlook.shared.clock import ManualClock
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import ModelFailure
from secondlook.shared.values import Detections

_PAIR = TensorSpec("x", "FP32", (2,)), TensorSpec("y", "FP32", (2,))


class SickBackend:
    """Twice its input, unless it is sick.

    Attributes:
        broken: whether every call fails.
        takes_s: how far a call moves ``clock``.
        entered: counts calls that began.
    """

    def __init__(self, clock: ManualClock | None = None, *, detects: bool = True) -> None:
        self.signature = Signature((_PAIR[0],), (_PAIR[1],), 8)
        self.device = "CPU"
        self.memory_bytes = 16
        self.detector = _SickDetector(self) if detects else None
        self.broken = False
        self.takes_s = 0.0
        self.closed = False
        self.entered = threading.Semaphore(0)
        self._clock = clock
        self._free = threading.Event()
        self._free.set()

    def hang(self) -> None:
        """From now on no call returns."""
        self._free.clear()

    def come_back(self) -> None:
        """All calls return."""
        self._free.set()

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        self.entered.release()
        assert self._free.wait(30)
        if self._clock is not None and self.takes_s:
            self._clock.advance(self.takes_s)
        if self.broken:
            raise ModelFailure("sick")
        return {"y": inputs["x"] * np.float32(2)}

    def warm_up(self) -> None:
        self.run({"x": np.zeros((1, 2), np.float32)})

    def close(self) -> None:
        self.closed = True


class _SickDetector:
    """One box an image, as well as its backend is."""

    def __init__(self, backend: SickBackend) -> None:
        self._backend = backend
        self.info = ModelInfo("sick", "1", ("car",), 64, 64, "fake", "CPU", 8)

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        self._backend.run({"x": np.zeros((len(images), 2), np.float32)})
        return [Detections.of([[1, 2, 3, 4]], [0.9], [0], self.info.names) for _ in images]

    def warm_up(self) -> None:
        self._backend.warm_up()

    def close(self) -> None:
        self._backend.close()
